// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portalsec/portalsec/auth/internal/breached"
	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

func TestPolicyReused(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{})
	var hashes []string
	for i := range 5 {
		stored, err := h.Hash(t.Context(), fmt.Sprint("password ", i))
		require.NoError(t, err)
		hashes = append(hashes, stored)
	}
	p, err := password.NewPolicy(password.PolicyConfig{History: 3})
	require.NoError(t, err)
	require.Equal(t, 3, p.History())
	for i := range 5 {
		got := codes(t, p.Reused(t.Context(), h, hashes, fmt.Sprint("password ", i)))
		if i < 3 {
			require.Equal(t, []password.Code{password.ReusedPassword}, got, i)
		} else {
			require.Empty(t, got, i)
		}
	}
	require.NoError(t, p.Reused(t.Context(), h, hashes, "another one"))
	require.NoError(t, p.Reused(t.Context(), h, nil, "password 0"))

	// Broken and missing hashes keep nobody from a change, and hide no later one.
	mixed := []string{"", "not a hash", hashes[0], hashes[1]}
	require.Error(t, p.Reused(t.Context(), h, mixed, "password 0"))
	require.NoError(t, p.Reused(t.Context(), h, mixed, "password 1"))

	// A hash of another algorithm counts, too.
	old := vectors(t, "bcrypt.txt")[0]
	require.Error(t, p.Reused(t.Context(), h, []string{old.stored}, old.password))

	// Nothing was found out: that is an error, never a yes or a no.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Reused(ctx, h, hashes, "another one"), context.Canceled)

	off, err := password.NewPolicy(password.PolicyConfig{})
	require.NoError(t, err)
	require.Zero(t, off.History())
	require.NoError(t, off.Reused(t.Context(), h, hashes, "password 0"))
}

func TestPolicyReusedIsAdmitted(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{Slots: 1, Queue: -1})
	stored, err := h.Hash(t.Context(), right)
	require.NoError(t, err)
	p, err := password.NewPolicy(password.PolicyConfig{History: 24})
	require.NoError(t, err)
	defer password.FillSlots(h)()
	require.ErrorIs(t, p.Reused(t.Context(), h, []string{stored}, right), password.ErrBusy)
	require.NoError(t, p.Reused(t.Context(), h, []string{"", ""}, right), "no password costs nothing")
}

func TestPolicyExpired(t *testing.T) {
	t.Parallel()
	set := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	never, err := password.NewPolicy(password.PolicyConfig{})
	require.NoError(t, err)
	require.False(t, never.Expired(set, set.AddDate(100, 0, 0)))
	require.False(t, never.Expired(time.Time{}, set))
	p, err := password.NewPolicy(password.PolicyConfig{MaxAge: 90 * 24 * time.Hour})
	require.NoError(t, err)
	require.False(t, p.Expired(set, set))
	require.False(t, p.Expired(set, set.Add(90*24*time.Hour-1)))
	require.True(t, p.Expired(set, set.Add(90*24*time.Hour)))
	require.False(t, p.Expired(set, set.Add(-time.Hour)), "another process's clock")
	require.True(t, p.Expired(time.Time{}, set))
}

func TestPolicyLists(t *testing.T) {
	t.Parallel()
	filter, err := breached.Build([]uint64{breached.Key("stolen and published")})
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "breached.filter")
	file, err := os.Create(name)
	require.NoError(t, err)
	_, err = filter.WriteTo(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	stolen, err := password.OpenFilter(name)
	require.NoError(t, err)

	p, err := password.NewPolicy(password.PolicyConfig{Breached: stolen, Blocked: []string{"Welcome to Acme 2026", "ΟΔΥΣΣΕΥΣ 1234567"}})
	require.NoError(t, err)
	type cs = []password.Code
	for pw, want := range map[string]cs{
		"passwordpassword":       {password.CommonPassword},
		"PasswordPassword":       {password.CommonPassword},
		"stolen and published":   {password.BreachedPassword},
		"Stolen And Published":   {password.BreachedPassword},
		"stolen and published 2": nil,
		"welcome to acme 2026":   {password.BlockedPassword},
		"WELCOME TO ACME 2026":   {password.BlockedPassword},
		"welcome to acme 2026!":  nil,
		"οδυσσευς 1234567":       {password.BlockedPassword},
		"password":               {password.TooShort, password.CommonPassword},
	} {
		require.Equal(t, want, codes(t, p.Check(t.Context(), pw)), pw)
	}
	weak, err := password.NewPolicy(password.PolicyConfig{InsecureAllowCommon: true})
	require.NoError(t, err)
	require.NoError(t, weak.Check(t.Context(), "passwordpassword"))
}

func TestPolicyComposition(t *testing.T) {
	t.Parallel()
	p, err := password.NewPolicy(password.PolicyConfig{Composition: password.Composition{Lower: 2, Upper: 1, Digits: 2, Symbols: 1}})
	require.NoError(t, err)
	for pw, missing := range map[string]string{
		"The house has 23 doors":  "",
		"Der Öltanker fährt 7 ٣":  "", // digits of any script
		"the house has 23 doors":  "upper-case letters",
		"THE HOUSE HAS 23 DOORS":  "lower-case letters",
		"The house has two doors": "digits",
		"TheHouseHas23Doors":      "punctuation marks, symbols or spaces",
	} {
		err := p.Check(t.Context(), pw)
		if missing == "" {
			require.NoError(t, err, pw)
			continue
		}
		require.Equal(t, []password.Code{password.CompositionRule}, codes(t, err), pw)
		var refused *password.PolicyError
		require.ErrorAs(t, err, &refused)
		require.Contains(t, refused.Problems[0].Text, missing, pw)
		require.NotContains(t, refused.Problems[0].Text, pw)
	}
	require.Len(t, codes(t, p.Check(t.Context(), "床前明月光疑是地上霜舉頭望明月")), 4)
}

func TestPolicyConfigRefused(t *testing.T) {
	t.Parallel()
	const big = int(^uint(0) >> 1)
	for field, cs := range map[string][]password.PolicyConfig{
		"PolicyConfig.History": {{History: -1}, {History: 25}},
		"PolicyConfig.MaxAge":  {{MaxAge: -1}},
		"PolicyConfig.Composition": {
			{Composition: password.Composition{Digits: -1}}, {Composition: password.Composition{Lower: 8, Upper: 8}},
			{Composition: password.Composition{Lower: big, Symbols: big}}, {Composition: password.Composition{Lower: 8, Upper: big}},
		},
	} {
		for _, c := range cs {
			_, err := password.NewPolicy(c)
			require.ErrorContains(t, err, field)
		}
	}
	_, err := password.NewPolicy(password.PolicyConfig{History: 24, SecondFactor: true, Composition: password.Composition{Lower: 2, Upper: 2, Digits: 2, Symbols: 2}})
	require.NoError(t, err)
}

// A megabyte is refused without being looked at. Not parallel: it counts what everything allocates.
func TestPolicyHugeIsCheap(t *testing.T) {
	p, err := password.NewPolicy(password.PolicyConfig{})
	require.NoError(t, err)
	huge := strings.Repeat("A", 1<<20)
	require.Less(t, testing.AllocsPerRun(10, func() { _ = p.Check(t.Context(), huge) }), 10.0)
}
