# SPDX-License-Identifier: Apache-2.0
"""Peers that behave, and peers that do not, for attnlab.peerworker."""

import os
import time

import numpy as np

from attnlab.drawn import Drawn
from attnlab.peer import Absent, Peer
from reference import attention


class Fake(Peer):
    package = "fake"

    @classmethod
    def version(cls) -> str:
        return "1.2.3"

    @classmethod
    def facts(cls) -> dict[str, str]:
        return super().facts() | {"peer_fake_waits": os.environ.get("OMP_WAIT_POLICY", "by itself")}

    def __init__(self, drawn: Drawn, threads: int):
        self.drawn, self.threads = drawn, threads
        self.out = np.zeros_like(drawn.array("out"))

    def run(self) -> None:
        self.out[...] = attention(*map(self.drawn.array, "qkv")).out

    def poison(self, drawn: Drawn) -> None:
        self.out[...] = drawn.array("out")

    def answers(self) -> dict[str, np.ndarray]:
        return {"out": self.out}

    def threads_read_back(self) -> int:
        return self.threads


class Honest(Fake):
    suffix = "-honest"


class Wrong(Fake):
    suffix = "-wrong"

    def answers(self) -> dict[str, np.ndarray]:
        return {"out": self.out * np.float32(1.001)}


class Remembering(Fake):
    """Gives the first answer again."""

    suffix = "-remembering"
    kept = None

    def run(self) -> None:
        if self.kept is None:
            super().run()
            self.kept = self.out.copy()
        self.out[...] = self.kept


class Idle(Fake):
    suffix = "-idle"

    def run(self) -> None:
        pass


class Spoiling(Fake):
    """Answers rightly, and writes into its inputs."""

    suffix = "-spoiling"

    def run(self) -> None:
        super().run()
        self.drawn.array("k")[0, 0, 0, 0] = 1e-3


class Missing(Fake):
    suffix = "-missing"

    def __init__(self, drawn: Drawn, threads: int):
        raise Absent("fake cannot be imported")


class Slow(Fake):
    suffix = "-slow"

    def run(self) -> None:
        time.sleep(600)


class Crashing(Fake):
    suffix = "-crashing"

    def run(self) -> None:
        os.abort()


class Raising(Fake):
    suffix = "-raising"

    def run(self) -> None:
        raise RuntimeError("no kernel for this shape")


class Few(Fake):
    """Takes one thread, however many it is asked to."""

    suffix = "-few"

    def threads_read_back(self) -> int:
        return 1


PEERS = (Honest, Wrong, Remembering, Idle, Spoiling, Missing, Slow, Crashing, Raising, Few)
