from attnlab.tables import markdown
