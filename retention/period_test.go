// SPDX-License-Identifier: Apache-2.0

package retention_test

import (
	"testing"
	"time"

	"github.com/portalsec/portalsec/retention"
	"github.com/stretchr/testify/require"
)

func TestParsePeriod(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"P6Y": "P6Y", "P2190D": "P2190D", "P18M": "P1Y6M", "P1Y6M": "P1Y6M", "P12M": "P1Y", "P2W": "P14D", "P90D": "P90D",
		"P1Y2M3D": "P1Y2M3D", "P0D": "P0D", "P0Y": "P0D", "P9999Y": "P9999Y", "P0Y1M": "P1M",
	} {
		p, err := retention.ParsePeriod(in)
		require.NoError(t, err, in)
		require.Equal(t, want, p.String(), in)
	}
	require.NotEqual(t, retention.MustPeriod("P6Y"), retention.MustPeriod("P2190D"))
	require.Equal(t, retention.MustPeriod("P1Y"), retention.MustPeriod("P12M"))
}

func TestParsePeriodRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "P", "6Y", "p6y", "P6", "PY", "P-1Y", "-P1Y", "P+1Y", "P1.5Y", "P1,5Y", "P1D1Y", "P1M1Y", "P1Y1Y", "PT1H",
		"P1DT1H", "P1Y1W", "P1W1D", "P01W1W", "P10000Y", "P 1Y", "P1Y ", "P1S", "P1٣D", "2 years", "P1YP1Y",
	} {
		_, err := retention.ParsePeriod(in)
		require.Error(t, err, in)
		require.ErrorContains(t, err, "retention: period", in)
	}
	require.Panics(t, func() { retention.MustPeriod("P1H") })
}

func TestPeriodBefore(t *testing.T) {
	t.Parallel()
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		require.NoError(t, err)
		return v
	}
	for _, c := range []struct{ name, period, from, want string }{
		{"six years have two leap days here", "P6Y", "2026-03-01T10:00:00Z", "2020-03-01T10:00:00Z"},
		{"2190 days are not six years", "P2190D", "2026-03-01T10:00:00Z", "2020-03-02T10:00:00Z"},
		{"month's end clamps", "P1M", "2026-03-31T00:00:00Z", "2026-02-28T00:00:00Z"},
		{"to the 29th in a leap year", "P1M", "2024-03-31T00:00:00Z", "2024-02-29T00:00:00Z"},
		{"months of thirty days", "P1M", "2026-05-31T23:59:59Z", "2026-04-30T23:59:59Z"},
		{"29 February", "P1Y", "2024-02-29T12:00:00Z", "2023-02-28T12:00:00Z"},
		{"29 February to 29 February", "P4Y", "2024-02-29T12:00:00Z", "2020-02-29T12:00:00Z"},
		{"over the year", "P3M", "2026-01-15T00:00:00Z", "2025-10-15T00:00:00Z"},
		{"months first, then days", "P1M1D", "2026-03-31T00:00:00Z", "2026-02-27T00:00:00Z"},
		{"1900 was no leap year", "P4Y", "1904-02-29T00:00:00Z", "1900-02-28T00:00:00Z"},
		{"weeks", "P2W", "2026-01-07T01:02:03Z", "2025-12-24T01:02:03Z"},
		{"other zones are turned into UTC first", "P1M", "2026-03-31T01:00:00+02:00", "2026-02-28T23:00:00Z"},
		{"nothing", "P0D", "2026-03-31T00:00:00Z", "2026-03-31T00:00:00Z"},
	} {
		got := retention.MustPeriod(c.period).Before(at(c.from))
		require.Equal(t, c.want, got.Format(time.RFC3339Nano), c.name)
	}
	day := time.Date(2026, 3, 29, 2, 30, 0, 123456789, time.UTC)
	require.Equal(t, 123456789, retention.MustPeriod("P1M").Before(day).Nanosecond())
}

// A later present never gives an earlier cutoff by more than the clamped days of a month.
func TestPeriodBeforeNeverJumps(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"P1D", "P1M", "P6M", "P1Y", "P2Y1M3D"} {
		p := retention.MustPeriod(s)
		last := time.Time{}
		for day := time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2030; day = day.AddDate(0, 0, 1) {
			cut := p.Before(day)
			require.False(t, cut.Before(last), "%s before %s", s, day)
			require.True(t, cut.Before(day))
			last = cut
		}
	}
}

func TestPeriodText(t *testing.T) {
	t.Parallel()
	var p retention.Period
	require.NoError(t, p.UnmarshalText([]byte("P18M")))
	text, err := p.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "P1Y6M", string(text))
	require.Error(t, p.UnmarshalText([]byte("18 months")))
	require.Equal(t, retention.MustPeriod("P18M"), p, "unchanged by an error")
}

func FuzzParsePeriod(f *testing.F) {
	for _, s := range []string{"P6Y", "P1Y2M3D", "P2W", "P0D", "PT1H", "P1W1D", "P99999D"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := retention.ParsePeriod(s)
		if err != nil {
			return
		}
		again, err := retention.ParsePeriod(p.String())
		// Months above 9999 come out as years, so every printed number has four digits at most, save for years of
		// more than 9999.
		if err != nil && len(s) < 10 {
			t.Fatalf("ParsePeriod(%q) = %v, which does not parse: %v", s, p, err)
		}
		if err == nil && again != p {
			t.Fatalf("ParsePeriod(%q) = %v, parsed again %v", s, p, again)
		}
		now := time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC)
		if p.Before(now).After(now) {
			t.Fatalf("%v before %v is later", p, now)
		}
	})
}
