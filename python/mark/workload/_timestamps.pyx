# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""Timestamps of log lines, found, parsed and counted without making a Python object for a line."""

from libc.stdint cimport int64_t
from libc.string cimport memchr
from libcpp.unordered_map cimport unordered_map
from libcpp.utility cimport pair

BRACKETED = 0
SECOND_WORD = 1
CSV_FIELD = 2

cdef enum:
    BRACKETED_LAYOUT = 0
    SECOND_WORD_LAYOUT = 1
    CSV_FIELD_LAYOUT = 2

cdef int64_t UNREADABLE = -1
cdef int64_t MILLISECONDS_FROM = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973
cdef int64_t MILLISECONDS_MAX = 100_000_000_000_000
cdef int64_t EPOCH_DAYS = 719_162  # from the first day of year 1 to that of 1970
cdef int[12] DAYS_IN_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
cdef const char* MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"


cdef inline const char* find(const char* at, const char* end, char wanted) noexcept nogil:
    """The next `wanted`, or `end`."""
    cdef const char* found = NULL
    if at < end:
        found = <const char*> memchr(at, wanted, <size_t> (end - at))
    return end if found == NULL else found


cdef inline int number(const char* at, int digits) noexcept nogil:
    """That many decimal digits; negative when one is none."""
    cdef int value = 0
    cdef int index
    for index in range(digits):
        if at[index] < c"0" or at[index] > c"9":
            return -1
        value = value * 10 + (at[index] - c"0")
    return value


cdef int64_t instant_s(int year, int month, int day, const char* clock) noexcept nogil:
    """Seconds since 1970 of a date and of a clock as HH:MM:SS, in its own zone; UNREADABLE when there is no such."""
    cdef int hour = number(clock, 2)
    cdef int minute = number(clock + 3, 2)
    cdef int second = number(clock + 6, 2)
    cdef bint leaps = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    cdef int before, index
    if clock[2] != c":" or clock[5] != c":" or year < 1970 or month < 1 or month > 12 or day < 1:
        return UNREADABLE
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return UNREADABLE
    if day > DAYS_IN_MONTH[month - 1] + (1 if leaps and month == 2 else 0):
        return UNREADABLE
    before = year - 1
    cdef int64_t days = before * 365 + before // 4 - before // 100 + before // 400 + day - 1 - EPOCH_DAYS
    for index in range(month - 1):
        days += DAYS_IN_MONTH[index]
    if leaps and month > 2:
        days += 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second


cdef bint zone_s(const char* at, const char* end, int64_t* found_s) noexcept nogil:
    """Whether a zone is all that is left: nothing or Z for UTC, or +HH, +HHMM or +HH:MM; how far it is ahead of UTC."""
    cdef Py_ssize_t left = end - at
    cdef int hours, minutes = 0
    found_s[0] = 0
    if left == 0 or (left == 1 and (at[0] == c"Z" or at[0] == c"z")):
        return True
    if left < 3 or (at[0] != c"+" and at[0] != c"-"):
        return False
    hours = number(at + 1, 2)
    if left == 5:
        minutes = number(at + 3, 2)
    elif left == 6 and at[3] == c":":
        minutes = number(at + 4, 2)
    elif left != 3:
        return False
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return False
    found_s[0] = (hours * 60 + minutes) * 60 * (-1 if at[0] == c"-" else 1)
    return True


cdef int64_t common_log_s(const char* at, const char* end) noexcept nogil:
    """dd/Mon/yyyy:HH:MM:SS +HHMM, what nginx and Apache write between brackets."""
    cdef int month = 0
    cdef int64_t offset_s = 0
    cdef int64_t local_s
    if end - at != 26 or at[2] != c"/" or at[6] != c"/" or at[11] != c":" or at[20] != c" ":
        return UNREADABLE
    for month in range(12):
        if at[3] == MONTHS[3 * month] and at[4] == MONTHS[3 * month + 1] and at[5] == MONTHS[3 * month + 2]:
            break
    else:
        return UNREADABLE
    local_s = instant_s(number(at + 7, 4), month + 1, number(at, 2), at + 12)
    if local_s < 0 or not zone_s(at + 21, end, &offset_s):
        return UNREADABLE
    return local_s - offset_s


cdef int64_t iso_8601_s(const char* at, const char* end) noexcept nogil:
    """yyyy-mm-ddTHH:MM:SS, with a fraction, which is dropped, and a zone; without one it is UTC."""
    cdef int64_t offset_s = 0
    cdef int64_t local_s
    if end - at < 19 or at[4] != c"-" or at[7] != c"-" or (at[10] != c"T" and at[10] != c" "):
        return UNREADABLE
    local_s = instant_s(number(at, 4), number(at + 5, 2), number(at + 8, 2), at + 11)
    at += 19
    if at < end and (at[0] == c"." or at[0] == c","):
        at += 1
        if at == end or number(at, 1) < 0:
            return UNREADABLE
        while at < end and number(at, 1) >= 0:
            at += 1
    if local_s < 0 or not zone_s(at, end, &offset_s):
        return UNREADABLE
    return local_s - offset_s


cdef int64_t epoch_s(const char* at, const char* end) noexcept nogil:
    """Seconds since 1970, or milliseconds when there are more than 100,000,000,000; a fraction is dropped."""
    cdef const char* begin = at
    cdef int64_t value = 0
    while at < end and number(at, 1) >= 0:
        if value >= MILLISECONDS_MAX:
            return UNREADABLE
        value = value * 10 + number(at, 1)
        at += 1
    if at == begin or value >= MILLISECONDS_MAX:
        return UNREADABLE
    if at < end and at[0] == c".":
        at += 1
        while at < end and number(at, 1) >= 0:
            at += 1
    if at != end:
        return UNREADABLE
    return value // 1000 if value >= MILLISECONDS_FROM else value


cdef int64_t field_s(const char* at, const char* end, int column) noexcept nogil:
    """The timestamp in a field of a line of CSV, quoted or not."""
    cdef const char* stop
    cdef int64_t found
    while True:
        if at < end and at[0] == c'"':
            stop = find(at + 1, end, c'"')
            while stop + 1 < end and stop[1] == c'"':
                stop = find(stop + 2, end, c'"')
            if column == 0:
                at += 1
                break
            at = stop
        stop = find(at, end, c",")
        if column == 0:
            break
        if stop == end:
            return UNREADABLE
        at = stop + 1
        column -= 1
    while at < stop and at[0] == c" ":
        at += 1
    while stop > at and ((stop - 1)[0] == c" " or (stop - 1)[0] == c"\r"):
        stop -= 1
    found = iso_8601_s(at, stop)
    return epoch_s(at, stop) if found < 0 else found


cdef int64_t line_s(const char* at, const char* end, int layout, int column) noexcept nogil:
    """Seconds since 1970 of the timestamp in a line, or UNREADABLE."""
    cdef const char* stop
    cdef int64_t found
    if layout == CSV_FIELD_LAYOUT:
        return field_s(at, end, column)
    if layout == SECOND_WORD_LAYOUT:
        at = find(at, end, c" ") + 1
        return iso_8601_s(at, find(at, end, c" ")) if at < end else UNREADABLE
    at = find(at, end, c"[")
    while at < end:  # a name of a user may hold a bracket, too
        at += 1
        stop = find(at, end, c"]")
        found = common_log_s(at, stop)
        if found >= 0:
            return found
        at = find(at, end, c"[")
    return UNREADABLE


cdef class BinCounter:
    """Lines of a log, counted in bins of time.

    Memory grows with the bins, not with the lines. Lines may come in any order. Empty lines are not counted.

    Thread safety: none.
    """

    cdef readonly int64_t lines
    cdef readonly int64_t unreadable
    cdef readonly int64_t first_unreadable
    cdef readonly bytes first_unreadable_text
    cdef int layout
    cdef int column
    cdef int64_t bin_s
    cdef int64_t numbered
    cdef unordered_map[int64_t, int64_t] counted

    def __init__(self, layout: int, column: int, bin_s: int) -> None:
        if layout not in (BRACKETED, SECOND_WORD, CSV_FIELD) or column < 0 or bin_s < 1:
            raise ValueError(f"unknown layout ({layout}), negative column ({column}) or empty bin ({bin_s})")
        self.layout = layout
        self.column = column
        self.bin_s = bin_s
        self.first_unreadable_text = b""

    def feed(self, block: bytes) -> None:
        """Count the lines of a block; the last one ends with it, whether or not an end of line is there."""
        cdef const char* begin = block
        cdef const char* end = begin + len(block)
        cdef const char* bad_end = NULL
        cdef const char* bad = NULL
        with nogil:
            bad = self.count(begin, end, &bad_end)
        if bad != NULL:
            self.first_unreadable_text = bad[:min(bad_end - bad, 200)]

    def counts(self) -> dict[int, int]:
        """Lines in each bin that has any, by the number of the bin since 1970."""
        cdef pair[int64_t, int64_t] entry
        return {entry.first: entry.second for entry in self.counted}

    cdef const char* count(self, const char* at, const char* end, const char** bad_end) noexcept nogil:
        """Where the first unreadable line is, when it is in this block."""
        cdef const char* bad = NULL
        cdef const char* stop
        cdef int64_t second, here = -1, pending = 0, held = -1
        while at < end:
            stop = find(at, end, c"\n")
            self.numbered += 1
            if stop > at and not (stop == at + 1 and at[0] == c"\r"):
                self.lines += 1
                second = line_s(at, stop, self.layout, self.column)
                if second < 0:
                    self.unreadable += 1
                    if self.first_unreadable == 0:
                        self.first_unreadable = self.numbered
                        bad = at
                        bad_end[0] = stop
                else:
                    here = second // self.bin_s
                    if here != held:  # most lines fall into the bin of the one before
                        if pending:
                            self.counted[held] += pending
                        held = here
                        pending = 0
                    pending += 1
            at = stop + 1
        if pending:
            self.counted[held] += pending
        return bad
