#!/usr/bin/env python3
"""Days and weeks of time zones around their clock changes, by Python's zoneinfo.

The program that `policy::windows` is compared with. Writes local_days.csv beside this file: zone, the first day of the
week, day or week, start and end in ms since the epoch. A day begins with the first instant whose date it is, and ends
where the next one begins. The years are past ones, whose rules do not change with the release of the IANA database
(2025b here).
"""

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

ZONES = {
    "Europe/Berlin": "monday",
    "America/New_York": "sunday",
    "America/Havana": "monday",  # midnight twice
    "America/Sao_Paulo": "monday",  # midnight skipped, and set back over midnight
    "America/St_Johns": "monday",  # set back at 00:01, to 23:01 of the day before
    "Asia/Amman": "saturday",
    "Asia/Beirut": "monday",
    "Asia/Kolkata": "monday",
    "Australia/Lord_Howe": "monday",  # half an hour
    "Pacific/Apia": "monday",  # a day left out
    "UTC": "thursday",
}
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
YEARS = range(1987, 2026)


def begins(day: date, zone: ZoneInfo) -> datetime:
    """The first instant whose date is `day`, or a later one."""
    at = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    minute = timedelta(minutes=1)
    while (at - minute).astimezone(zone).date() >= day:
        at -= minute
    return at


def changes(zone: ZoneInfo) -> list[date]:
    """The days on which the offset from UTC changes."""
    first, last = date(YEARS[0], 1, 1), date(YEARS[-1], 12, 31)
    days = [first + timedelta(days=n) for n in range((last - first).days)]
    noon = [datetime(d.year, d.month, d.day, 12, tzinfo=zone).utcoffset() for d in days]
    return [day for day, before, after in zip(days[1:], noon, noon[1:], strict=False) if before != after]


def main() -> None:
    rows = []
    for name, week in ZONES.items():
        zone = ZoneInfo(name)
        around = {day + timedelta(days=n) for day in changes(zone) for n in range(-2, 3)}
        around |= {date(year, month, 1) for year in (1999, 2024, 2025) for month in range(1, 13)}
        for day in sorted(around):
            monday = day - timedelta(days=(day.weekday() - WEEKDAYS.index(week)) % 7)
            for unit, start, days in (("day", day, 1), ("week", monday, 7)):
                span = begins(start, zone), begins(start + timedelta(days=days), zone)
                if span[0] < span[1]:
                    rows.append([name, week, unit, *(round(at.timestamp() * 1000) for at in span)])
    unique = list(dict.fromkeys(map(tuple, rows)))
    with (Path(__file__).parent / "local_days.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["zone", "week", "unit", "start", "end"])
        writer.writerows(unique)


if __name__ == "__main__":
    main()
