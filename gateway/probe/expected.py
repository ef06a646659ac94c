"""What the engineer reads off the machine's own display: a number with as many digits as are shown, or a text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation


@dataclass(frozen=True, slots=True)
class Expected:
    """A number and how far a reading may lie from it and still be the same number, in its unit."""

    value: float
    tolerance: float

    @classmethod
    def parse(cls, text: str, tolerance: float | None = None) -> Expected | None:
        """None where the text is no number. Without a tolerance: half of the last digit that is shown.

        >>> Expected.parse("23.5")
        Expected(value=23.5, tolerance=0.05)
        >>> Expected.parse("23,50", tolerance=1), Expected.parse("O1234")
        (Expected(value=23.5, tolerance=1), None)
        """
        try:
            number = Decimal(text.strip().replace(",", "."))
        except InvalidOperation:
            return None
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or not math.isfinite(float(number)):
            return None
        return cls(float(number), float(Decimal(5).scaleb(exponent - 1)) if tolerance is None else tolerance)
