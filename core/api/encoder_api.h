/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of libattnbench.so for BERT encoders; read after attnbench_api.h, with which it shares sessions, statuses
 * and the absence of a preprocessor. A session brings the variant, its isa and the threads; parameters are automatic.
 *
 *   attnbench_encoder_create(s, 6, 12, 384, 1536, 30522, 512, 2, 1e-12, &e);
 *   for (n < attnbench_encoder_array_count(e)) attnbench_encoder_array(s, e, n, data, rank, shape);
 *   attnbench_begin(s);  attnbench_variant(s, "flash", NULL);  attnbench_threads(s, 2);
 *   attnbench_encode(s, e, sequences, offsets, ids, vectors, NULL); */

struct attnbench_encoder;

/* blocks, heads, features, hidden features of the feed-forward network; words known, positions, token types; epsilon of
 * the layer norms. *encoder is NULL on refusal. */
int attnbench_encoder_create(struct attnbench *session, int64_t blocks, int64_t heads, int64_t features, int64_t hidden,
                             int64_t vocabulary, int64_t positions, int64_t kinds, double epsilon,
                             struct attnbench_encoder **encoder);
void attnbench_encoder_destroy(struct attnbench_encoder *encoder); /* NULL is allowed */

/* The arrays it needs, by the names of BERT checkpoints; NULL beyond the last. The name is valid until the next call.
 */
int attnbench_encoder_array_count(const struct attnbench_encoder *encoder);
const char *attnbench_encoder_array_name(struct attnbench_encoder *encoder, int array);
/* Lends dense f32 data, which is read until the encoder is destroyed. Invalid: another shape. */
int attnbench_encoder_array(struct attnbench *session, struct attnbench_encoder *encoder, int array, float *data,
                            int rank, const int64_t *shape);

/* Encodes sequences packed one after the other: sequence n has the ids [offsets[n], offsets[n + 1]), offsets[0] is 0.
 * vectors [sequences][features]: the mean over a sequence's tokens, at unit norm. states, when given,
 * [blocks + 1][tokens][features]: the embeddings and every block's output. On refusal vectors are not written. */
int attnbench_encode(struct attnbench *session, struct attnbench_encoder *encoder, int64_t sequences,
                     const int64_t *offsets, const int64_t *ids, float *vectors, float *states);
