"""Lifetimes as people write them, as seconds."""

import datetime
import math
import re

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LONGEST = 100 * 365 * 86400
"""Longer lifetimes are as long as this one: a century."""
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|[smhdw])\s*")


def seconds(lifetime, word="ttl"):
    """A lifetime in seconds: a number, a `timedelta`, or a text such as "1h 30m".

    Raises TypeError or ValueError if it is none of these, or negative.
    """
    if isinstance(lifetime, datetime.timedelta):
        number = lifetime.total_seconds()
    elif isinstance(lifetime, str):
        number = _from_text(lifetime, word)
    elif isinstance(lifetime, (int, float)) and not isinstance(lifetime, bool):
        number = lifetime
    else:
        kind = type(lifetime).__name__
        raise TypeError(f'{word} is seconds, a timedelta or a text such as "1h 30m", not a {kind}')
    if math.isnan(number) or number < 0:
        raise ValueError(f"{word} cannot be {lifetime!r}: a lifetime is 0 or more")
    return min(number, LONGEST)


def _from_text(text, word):
    total, at = 0.0, 0
    while at < len(text) and (part := _PART.match(text, at)):
        total += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    if at == 0 or at < len(text):
        raise ValueError(
            f"{word}={text!r} is no lifetime: write it as in '1h 30m', with the units "
            + ", ".join(_UNITS)
        )
    return total
