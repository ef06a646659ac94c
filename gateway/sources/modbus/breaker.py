"""Circuit breaker of one unit (pure): a unit that is dead gets little of the bus's time."""

from __future__ import annotations

from random import Random

from gateway.schedule import Backoff

_STRIKES = 3
_SHARE = 0.03
"""The most of a bus's time that one dead unit takes from the others, once it is known to be dead."""


class Breaker:
    """Opens after three requests in a row without an answer while another unit of the bus did answer.

    (Where nobody answers it is the line, and the bus opens its connection again.) Then one request now and
    then is let through; the waits double, and are long enough that a dead unit costs 3 % of the bus's time.
    """

    def __init__(self, random: Random) -> None:
        self._backoff = Backoff(first_s=1.0, cap_s=60.0, random=random)
        self._silent_since: float | None = None
        self._strikes = 0
        self._next_try = 0.0

    @property
    def is_open(self) -> bool:
        return self._next_try > 0

    def wait_s(self, now: float) -> float:
        """Seconds until the unit may be asked; 0: now."""
        return max(0.0, self._next_try - now)

    def answered(self) -> None:
        self._strikes, self._silent_since, self._next_try = 0, None, 0.0
        self._backoff.reset()

    def silent(self, asked: float, now: float, others_answered: float) -> None:
        """A request at `asked` had no answer until `now`; another unit last answered at `others_answered`."""
        self._strikes += 1
        if self._silent_since is None:
            self._silent_since = asked
        if self._strikes >= _STRIKES and others_answered > self._silent_since:
            self._next_try = now + max(self._backoff.next(), (now - asked) / _SHARE)
