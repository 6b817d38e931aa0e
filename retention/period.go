// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Period is a length of time by the calendar, in months and days. P6Y is six years and not 2,190 days, and P1M is
// 28 to 31 days, depending on where it ends. Periods can be compared with ==; P12M and P1Y are the same.
type Period struct {
	months, days int
}

// ParsePeriod reads a duration of ISO 8601-1:2019 section 5.5.2 in whole years, months and days, such as P2Y,
// P1Y6M or P90D, or in weeks alone, such as P2W. A number has at most four digits. There are no fractions and
// no hours: what is kept for less than a day is no matter of retention.
func ParsePeriod(s string) (Period, error) {
	p, err := parsePeriod(s)
	if err != nil {
		return Period{}, fmt.Errorf("retention: period %q: %w", s, err)
	}
	return p, nil
}

func parsePeriod(s string) (Period, error) {
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" {
		return Period{}, errors.New(`want an ISO 8601 period such as "P2Y", "P18M" or "P90D"`)
	}
	if strings.Contains(rest, "T") {
		return Period{}, errors.New("hours, minutes and seconds are not supported; the shortest period is P1D")
	}
	var p Period
	units := "YMWD" // what may still follow, in order
	for rest != "" {
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i < 1 || i > 4 {
			return Period{}, errors.New("want one to four digits before each of Y, M, W and D")
		}
		n, _ := strconv.Atoi(rest[:i]) // digits only
		unit := rest[i]
		rest = rest[i+1:]
		at := strings.IndexByte(units, unit)
		if at < 0 {
			return Period{}, errors.New("want Y, M and D once each and in this order, or W alone")
		}
		units = units[at+1:]
		switch unit {
		case 'Y':
			p.months += 12 * n
		case 'M':
			p.months += n
		case 'D':
			p.days += n
		case 'W':
			if p != (Period{}) || rest != "" || len(s) != i+2 {
				return Period{}, errors.New("weeks stand alone; write days instead")
			}
			p.days = 7 * n
		}
	}
	return p, nil
}

// MustPeriod is [ParsePeriod] for constants in Go code. It panics where that returns an error.
func MustPeriod(s string) Period {
	p, err := ParsePeriod(s)
	if err != nil {
		panic(err)
	}
	return p
}

// IsZero tells whether the period has no length.
func (p Period) IsZero() bool { return p == Period{} }

// String gives the period in its shortest form, years before months before days; the zero Period is P0D.
func (p Period) String() string {
	if p.IsZero() {
		return "P0D"
	}
	var b strings.Builder
	b.WriteByte('P')
	for _, part := range []struct {
		n    int
		unit byte
	}{{p.months / 12, 'Y'}, {p.months % 12, 'M'}, {p.days, 'D'}} {
		if part.n != 0 {
			b.WriteString(strconv.Itoa(part.n))
			b.WriteByte(part.unit)
		}
	}
	return b.String()
}

// MarshalText gives the same as String.
func (p Period) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what [ParsePeriod] reads.
func (p *Period) UnmarshalText(text []byte) error {
	q, err := ParsePeriod(string(text))
	if err == nil {
		*p = q
	}
	return err
}

// Before gives the time that lies the period before t, in UTC and at the same time of day. Years and months are
// taken off first; a day that the resulting month does not have becomes the month's last one, so that P1M before
// 31 March is 28 February, or the 29th in a leap year. Then the days are taken off. PostgreSQL reckons alike.
func (p Period) Before(t time.Time) time.Time {
	t = t.UTC()
	year, month, day := t.Date()
	first := time.Date(year, month-time.Month(p.months), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return time.Date(first.Year(), first.Month(), min(day, last)-p.days,
		t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// exceeds tells whether p can be longer than q, and gives a day on which it is. One month is both longer and
// shorter than thirty days: such pairs are tried on every day of the calendar's cycle of 400 years.
func (p Period) exceeds(q Period) (day time.Time, longer bool) {
	const cycle = 146097 // days in 400 years
	start := time.Date(2000, time.March, 1, 0, 0, 0, 0, time.UTC)
	switch {
	case p.months <= q.months && p.days <= q.days:
		return time.Time{}, false
	case p.months >= q.months && p.days >= q.days:
		return start, true
	}
	for i := range cycle {
		day := start.AddDate(0, 0, i)
		if p.Before(day).Before(q.Before(day)) {
			return day, true
		}
	}
	return time.Time{}, false
}
