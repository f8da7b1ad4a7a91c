"""JavaScript's Date, in UTC."""

import calendar
import datetime
import math
import re
import time

from .core import (JsException, JsObject, js_class, jsnull, number, to_number, to_string)

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ISO = re.compile(r"([+-]\d{6}|\d{4})(?:-(\d\d)(?:-(\d\d))?)?"
                  r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d\d:?\d\d)?\Z", re.I)
_LIMIT = 8.64e15


def _from_parts(year, month=0, day=1, hour=0, minute=0, second=0, millisecond=0):
    """Milliseconds since 1970 of parts that may be too large or too small; NaN where there is no such time."""
    parts = [to_number(part) for part in (year, month, day, hour, minute, second, millisecond)]
    if any(part != part or math.isinf(part) for part in parts):
        return math.nan
    year, month, day, hour, minute, second, millisecond = [int(part) for part in parts]
    year += month // 12
    month %= 12
    # Python's calendar has no year before 1: a time is found 400 years, in which days repeat, nearer.
    cycles = 0
    if not 1 <= year <= 9999:
        cycles = (year - 2000) // 400
        year -= cycles * 400
    days = datetime.date(year, month + 1, 1).toordinal() - 719163 + day - 1 + cycles * 146097
    value = ((days * 24 + hour) * 60 + minute) * 60000 + second * 1000 + millisecond
    return value if abs(value) <= _LIMIT else math.nan


def parse_date(text):
    """Date.parse: milliseconds since 1970, or NaN."""
    text = text.strip()
    found = _ISO.match(text)
    if found is not None:
        year, month, day, hour, minute, second, part, zone = found.groups()
        if not (1 <= int(month or 1) <= 12 and 1 <= int(day or 1) <= 31 and int(hour or 0) <= 24
                and int(minute or 0) <= 59 and int(second or 0) <= 59):
            return math.nan
        value = _from_parts(int(year), int(month or 1) - 1, int(day or 1), int(hour or 0), int(minute or 0),
                            int(second or 0), int(((part or "") + "000")[:3]))
        if zone and zone not in "Zz":
            shift = int(zone[1:3]) * 60 + int(zone[-2:])
            value -= (shift if zone[0] == "+" else -shift) * 60000
        return value
    from email.utils import parsedate_tz

    text = re.sub(r"\(.*?\)", "", text)
    text = re.sub(r"GMT([+-]\d{4})", r"\1", text)
    text = re.sub(r"^([A-Z][a-z]{2}) ([A-Z][a-z]{2}) (\d\d) (\d{4})", r"\1, \3 \2 \4", text)
    parts = parsedate_tz(text)
    if parts is None:
        return math.nan
    return (calendar.timegm(parts[:6] + (0, 0, 0)) - (parts[9] or 0)) * 1000


def _now():
    return time.time_ns() // 1000000


@js_class("Date", "now", "UTC", "parse")
class Date(JsObject):
    """A time, in milliseconds since 1970."""

    __slots__ = ("_time",)

    def __init__(self, *parts):
        if not parts:
            self._time = _now()
        elif len(parts) > 1:
            year = to_number(parts[0])
            self._time = _from_parts(year + 1900 if 0 <= year <= 99 else year, *parts[1:])
        elif isinstance(parts[0], Date):
            self._time = parts[0]._time
        elif isinstance(parts[0], str):
            self._time = parse_date(parts[0])
        else:
            value = to_number(parts[0])
            self._time = math.trunc(value) if value == value and abs(value) <= _LIMIT else math.nan

    @staticmethod
    def _js_call(*_parts):
        return Date().toString()

    @staticmethod
    def _static_now():
        """The time now."""
        return _now()

    @staticmethod
    def _static_UTC(year, *parts):
        """The milliseconds since 1970 of a time in parts."""
        year = to_number(year)
        year = year + 1900 if 0 <= year <= 99 else year
        return number(float(_from_parts(year, *parts)))

    @staticmethod
    def _static_parse(text):
        """The milliseconds since 1970 of a time in words, or NaN."""
        return number(float(parse_date(to_string(text))))

    def _parts(self):
        """Year, month from 0, day, hour, minute, second, millisecond, and the day of the week from 0."""
        if self._time != self._time:
            return (math.nan,) * 8
        days, left = divmod(int(self._time), 86400000)
        cycles, inside = divmod(days + 719162, 146097)
        date = datetime.date.fromordinal(inside + 1)
        return (date.year + cycles * 400, date.month - 1, date.day, left // 3600000, left // 60000 % 60,
                left // 1000 % 60, left % 1000, (days + 4) % 7)

    def getTime(self):
        """The milliseconds since 1970."""
        return self._time

    valueOf = getTime

    def setTime(self, value):
        """Sets the time."""
        self._time = Date(to_number(value))._time
        return self._time

    def getTimezoneOffset(self):
        """The minutes to UTC."""
        return 0

    def toISOString(self):
        """The time as ISO 8601 has it."""
        if self._time != self._time:
            raise JsException("RangeError", "Invalid time value")
        year, month, day, hour, minute, second, part, _weekday = self._parts()
        years = "%04d" % year if 0 <= year <= 9999 else "%s%06d" % ("-" if year < 0 else "+", abs(year))
        return "%s-%02d-%02dT%02d:%02d:%02d.%03dZ" % (years, month + 1, day, hour, minute, second, part)

    def toJSON(self, _key=None):
        """The time as JSON has it."""
        return jsnull if self._time != self._time else self.toISOString()

    def toDateString(self):
        """The day in words."""
        if self._time != self._time:
            return "Invalid Date"
        year, month, day, _hour, _minute, _second, _part, weekday = self._parts()
        return "%s %s %02d %04d" % (_DAYS[weekday], _MONTHS[month], day, year)

    def toTimeString(self):
        """The time of the day in words."""
        return "%02d:%02d:%02d GMT+0000 (Coordinated Universal Time)" % self._parts()[3:6]

    def toString(self):
        """The time in words."""
        if self._time != self._time:
            return "Invalid Date"
        return "%s %s" % (self.toDateString(), self.toTimeString())

    def toUTCString(self):
        """The time in words, as HTTP has it."""
        if self._time != self._time:
            return "Invalid Date"
        year, month, day, hour, minute, second, _part, weekday = self._parts()
        return "%s, %02d %s %04d %02d:%02d:%02d GMT" % (_DAYS[weekday], day, _MONTHS[month], year, hour, minute,
                                                        second)

    toGMTString = toUTCString

    def toLocaleDateString(self, *_args):
        """The day in numbers."""
        year, month, day = self._parts()[:3]
        return "%d/%d/%d" % (month + 1, day, year if year > 0 else 1 - year)

    def toLocaleTimeString(self, *_args):
        """The time of the day in numbers."""
        hour, minute, second = self._parts()[3:6]
        return "%d:%02d:%02d %s" % (hour % 12 or 12, minute, second, "AM" if hour < 12 else "PM")

    def toLocaleString(self, *_args):
        """Day and time in numbers."""
        return "%s, %s" % (self.toLocaleDateString(), self.toLocaleTimeString())


def _date_methods():
    names = ("FullYear", "Month", "Date", "Hours", "Minutes", "Seconds", "Milliseconds", "Day")

    def setter(self, at, values):
        parts = list(self._parts()[:7])
        if parts[0] != parts[0]:
            parts = [1970, 0, 1, 0, 0, 0, 0] if at == 0 else parts
        last = 3 if at < 3 else 7
        for place, value in zip(range(at, last), values):
            parts[place] = value
        self._time = _from_parts(*parts)
        return self._time

    for at, name in enumerate(names):
        for zone in ("", "UTC"):
            setattr(Date, "get" + zone + name, lambda self, at=at: self._parts()[at])
            if at < 7:
                setattr(Date, "set" + zone + name, lambda self, *values, at=at: setter(self, at, values))


_date_methods()
