// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portalsec/portalsec/auth/password"
	"github.com/stretchr/testify/require"
)

var foreignFiles = []string{"argon2.txt", "bcrypt.txt", "pbkdf2.txt", "scrypt.txt"}

// Hashes that others made: see testdata/README.md.
func TestVerifyForeign(t *testing.T) {
	t.Parallel()
	argon, fips := fast(t, password.Config{}), fast(t, password.Config{FIPS: true})
	for _, file := range foreignFiles {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			for _, v := range vectors(t, file) {
				for _, h := range []*password.Hasher{argon, fips} {
					res, err := h.Verify(t.Context(), v.stored, v.password)
					require.NoError(t, err, v.stored)
					require.Equal(t, password.Result{OK: true, NeedsRehash: true}, res, v.stored)
					// Not behind: bcrypt does not see what follows 72 bytes.
					res, err = h.Verify(t.Context(), v.stored, "x"+v.password[1:]+"y")
					require.NoError(t, err, v.stored)
					require.Equal(t, len(v.password) == 72, res.OK, v.stored)
					res, err = h.Verify(t.Context(), v.stored, "Z"+v.password[1:])
					require.NoError(t, err, v.stored)
					require.Equal(t, password.Result{}, res, v.stored)
				}
			}
		})
	}
}

// The whole path of an account from another application: right once, hashed anew, fresh from then on.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{})
	for _, file := range foreignFiles {
		v := vectors(t, file)[0]
		res, err := h.Verify(t.Context(), v.stored, v.password)
		require.NoError(t, err)
		require.True(t, res.OK && res.NeedsRehash, file)
		stored, err := h.Hash(t.Context(), v.password)
		require.NoError(t, err)
		res, err = h.Verify(t.Context(), stored, v.password)
		require.NoError(t, err)
		require.Equal(t, password.Result{OK: true}, res, file)
	}
}

// To these a password is the same with zero bytes behind it, and to bcrypt also when it comes again behind one. Who knows
// the password must not be able to have it replaced by such another, which its owner would never type.
func TestNoRehashWithZeroBytes(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{})
	for _, file := range []string{"bcrypt.txt", "pbkdf2.txt", "scrypt.txt"} {
		found := 0
		for _, v := range vectors(t, file) {
			for _, pw := range []string{v.password + "\x00", v.password + "\x00" + v.password} {
				res, err := h.Verify(t.Context(), v.stored, pw)
				require.NoError(t, err, v.stored)
				require.False(t, res.NeedsRehash, v.stored)
				if res.OK {
					found++
				}
			}
		}
		require.NotZero(t, found, "%s has no such pair", file)
	}
}

// RFC 7914 sections 11 and 12. The other vectors there have an empty password or salt, or ask for 1 GiB.
func TestRFC7914(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ prefix, salt, sum, password string }{
		{"$pbkdf2-sha256$i=1", "salt", "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc" +
			"49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783", "passwd"},
		{"$pbkdf2-sha256$i=80000", "NaCl", "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56" +
			"a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d", "Password"},
		{"$scrypt$ln=10,r=8,p=16", "NaCl", "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162" +
			"2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640", "password"},
		{"$scrypt$ln=14,r=8,p=1", "SodiumChloride", "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2" +
			"d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887", "pleaseletmein"},
	} {
		sum, err := hex.DecodeString(v.sum)
		require.NoError(t, err, v.prefix)
		enc := base64.RawStdEncoding
		ok, err := password.Sum(v.prefix+"$"+enc.EncodeToString([]byte(v.salt))+"$"+enc.EncodeToString(sum), v.password)
		require.NoError(t, err, v.prefix)
		require.True(t, ok, v.prefix)
	}
}

const (
	goodBcrypt = "$2b$04$N9qo8uLOickgx2ZMRZoMyeNK8zsWBMaMSVoubqovVQN3ypdVzHwOW"
	goodScrypt = "$scrypt$ln=10,r=8,p=1$h3CO0XpPKSWklNK6F0KI8Q$Xdy5AIYGRk4qM/HqYwzEvjfV5o0Bi6Dx3IiHh7u0wwE"
	goodPBKDF2 = "$pbkdf2-sha256$i=1000$" + salt + "$" + sum
	goodLength = "$pbkdf2-sha256$i=1000,l=32$" + salt + "$" + sum
	goodLib    = "$pbkdf2-sha256$29000$Xus9R4hRag2B0HovZawVAg$..K8VNAmyHsQox2juFgcXmKZQBCy7GuKIgS7nCgvpQ0"
	goodDjango = "pbkdf2_sha256$1000$seasalt$3xmXbyk2QpiyNcnoBbzRPwEBsYPTbDlRdtmLyBvQltA="
)

// hostileForeign gives strings that must be refused before anything is computed from them.
func hostileForeign() map[string]string {
	scrypt := func(costs string) string { return strings.Replace(goodScrypt, "ln=10,r=8,p=1", costs, 1) }
	pbkdf2 := func(costs string) string { return strings.Replace(goodPBKDF2, "i=1000", costs, 1) }
	long := strings.Repeat("YWFh", 21) + "YWE" // 65 bytes
	return map[string]string{
		"bcrypt: cost 16":           strings.Replace(goodBcrypt, "$04$", "$16$", 1),
		"bcrypt: cost 31":           strings.Replace(goodBcrypt, "$04$", "$31$", 1),
		"bcrypt: cost 3":            strings.Replace(goodBcrypt, "$04$", "$03$", 1),
		"bcrypt: one digit":         strings.Replace(goodBcrypt, "$04$", "$4$", 1),
		"bcrypt: broken form 2x":    strings.Replace(goodBcrypt, "2b", "2x", 1),
		"bcrypt: no letter":         strings.Replace(goodBcrypt, "2b", "2", 1),
		"bcrypt: cut":               goodBcrypt[:59],
		"bcrypt: longer":            goodBcrypt + "A",
		"bcrypt: line end":          goodBcrypt + "\n",
		"bcrypt: other alphabet":    strings.Replace(goodBcrypt, "N9q", "N+q", 1),
		"scrypt: 16 GiB":            scrypt("ln=24,r=8,p=1"),
		"scrypt: 1 GiB":             scrypt("ln=20,r=8,p=1"),
		"scrypt: 512 MiB":           scrypt("ln=18,r=16,p=1"),
		"scrypt: 256 MiB, twice":    scrypt("ln=18,r=8,p=2"),
		"scrypt: shift overflows":   scrypt("ln=64,r=8,p=1"),
		"scrypt: ln overflows":      scrypt("ln=266,r=8,p=1"),
		"scrypt: ln zero":           scrypt("ln=0,r=8,p=1"),
		"scrypt: r over bound":      scrypt("ln=4,r=33,p=1"),
		"scrypt: p over bound":      scrypt("ln=4,r=1,p=17"),
		"scrypt: r zero":            scrypt("ln=4,r=0,p=1"),
		"scrypt: p missing":         scrypt("ln=4,r=1"),
		"scrypt: N itself":          scrypt("n=1024,r=8,p=1"),
		"scrypt: sign":              scrypt("ln=+10,r=8,p=1"),
		"scrypt: leading zero":      scrypt("ln=010,r=8,p=1"),
		"scrypt: no salt":           strings.Replace(goodScrypt, "h3CO0XpPKSWklNK6F0KI8Q", "", 1),
		"scrypt: long salt":         strings.Replace(goodScrypt, "h3CO0XpPKSWklNK6F0KI8Q", long, 1),
		"scrypt: short sum":         goodScrypt[:len(goodScrypt)-23],
		"scrypt: no sum":            goodScrypt[:len(goodScrypt)-43],
		"scrypt: line end":          goodScrypt + "\n",
		"scrypt: one field more":    goodScrypt + "$",
		"PBKDF2: a minute":          pbkdf2("i=10000001"),
		"PBKDF2: a year":            pbkdf2("i=4294967295"),
		"PBKDF2: overflows":         pbkdf2("i=4294967296"),
		"PBKDF2: zero":              pbkdf2("i=0"),
		"PBKDF2: negative":          pbkdf2("i=-1"),
		"PBKDF2: leading zero":      pbkdf2("i=01000"),
		"PBKDF2: other length":      pbkdf2("i=1000,l=31"),
		"PBKDF2: no length":         pbkdf2("i=1000,"),
		"PBKDF2: long salt":         strings.Replace(goodPBKDF2, salt, long, 1),
		"PBKDF2: no salt":           strings.Replace(goodPBKDF2, salt, "", 1),
		"PBKDF2: long sum":          strings.Replace(goodPBKDF2, sum, long, 1),
		"PBKDF2: short sum":         strings.Replace(goodPBKDF2, sum, strings.Repeat("YWFh", 5), 1),
		"PBKDF2: padding":           goodPBKDF2 + "=",
		"PBKDF2: line end":          goodPBKDF2 + "\n",
		"PBKDF2: SHA-1":             strings.Replace(goodPBKDF2, "-sha256", "", 1),
		"passlib: plus":             strings.Replace(goodLib, ".", "+", 1),
		"passlib: a year":           strings.Replace(goodLib, "29000", "4294967295", 1),
		"Django: no padding":        strings.TrimSuffix(goodDjango, "="),
		"Django: a year":            strings.Replace(goodDjango, "1000", "4294967295", 1),
		"Django: no salt":           strings.Replace(goodDjango, "seasalt", "", 1),
		"Django: long salt":         strings.Replace(goodDjango, "seasalt", strings.Repeat("s", 65), 1),
		"Django: SHA-1":             strings.Replace(goodDjango, "sha256", "sha1", 1),
		"Argon2i: memory of 4 TiB":  strings.NewReplacer("argon2id", "argon2i", "19456", "4294967295").Replace(good),
		"Argon2i: time over bound":  strings.NewReplacer("argon2id", "argon2i", "t=2", "t=17").Replace(good),
		"no algorithm":              "$$$$",
		"long beyond reason":        goodScrypt + strings.Repeat("A", 1<<20),
		"long beyond reason, other": goodDjango + strings.Repeat("\xff", 1<<20),
	}
}

func TestForeignRefused(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{})
	for name, s := range hostileForeign() {
		_, err := password.Parse(s)
		require.ErrorIs(t, err, password.ErrHash, name)
		res, err := h.Verify(t.Context(), s, right)
		require.ErrorIs(t, err, password.ErrHash, name)
		require.Equal(t, password.Result{}, res)
	}
	for _, s := range []string{goodBcrypt, goodScrypt, goodPBKDF2, goodLength, goodLib, goodDjango, strings.Replace(good, "id$", "i$", 1)} {
		_, err := password.Parse(s)
		require.NoError(t, err, s)
	}
	// The greatest that are taken.
	for s, kib := range map[string]uint32{
		strings.Replace(goodScrypt, "ln=10", "ln=18", 1):        256 << 10,
		strings.Replace(goodScrypt, "ln=10,r=8", "ln=1,r=1", 1): 1,
		strings.Replace(good, "19456", "262144", 1):             256 << 10,
	} {
		require.Equal(t, kib, password.Memory(s), s)
	}
}

// No hostile string makes the process allocate more than a mebibyte. Not parallel: it counts what everything allocates.
func TestHostileAllocatesNothing(t *testing.T) {
	h := fast(t, password.Config{})
	all := hostile()
	for name, s := range hostileForeign() {
		all[name] = s
	}
	for name, s := range map[string]string{"Argon2id": good, "scrypt": goodScrypt, "PBKDF2": goodPBKDF2, "Django": goodDjango, "bcrypt": goodBcrypt} {
		all[name+": very long"] = s + strings.Repeat("A", 8<<20)
	}
	var before, after runtime.MemStats
	for name, s := range all {
		runtime.ReadMemStats(&before)
		_, err := h.Verify(t.Context(), s, right)
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, password.ErrHash, name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), name)
	}
}

// A hash that needs the memory of several slots takes several, and one that needs more than all takes all: what runs beside
// each other never needs more than the slots stand for, or than one hash does.
func TestForeignTakesItsMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		costs string
		want  int
	}{
		{"ln=5,r=8,p=1", 1},  // 32 KiB
		{"ln=6,r=8,p=1", 1},  // 64 KiB
		{"ln=7,r=8,p=1", 2},  // 128 KiB
		{"ln=8,r=8,p=1", 4},  // 256 KiB
		{"ln=12,r=8,p=1", 4}, // 4 MiB
	} {
		t.Run(c.costs, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := fast(t, password.Config{Memory: 64, Slots: 4})
				stored := strings.Replace(goodScrypt, "ln=10,r=8,p=1", c.costs, 1)
				// One slot too few is free: it waits with all that it could get.
				var releases []func()
				for range 4 - c.want + 1 {
					releases = append(releases, password.TakeSlot(h))
				}
				var wg sync.WaitGroup
				wg.Go(func() {
					if _, err := h.Verify(t.Context(), stored, right); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				require.Equal(t, 4, password.Taken(h))
				require.Equal(t, 1, password.Waiting(h))
				for _, release := range releases {
					release()
				}
				wg.Wait()
				require.Zero(t, password.Taken(h))
			})
		})
	}
}

// Whoever gives up while waiting for several slots gives back those that it has, and large ones do not hold each other up.
func TestWideWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := fast(t, password.Config{Memory: 64, Slots: 4})
		release := password.TakeSlot(h)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := h.Verify(ctx, goodScrypt, right); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, password.Taken(h))
		require.Zero(t, password.Waiting(h))
		for range 8 {
			wg.Go(func() {
				if _, err := h.Verify(t.Context(), goodScrypt, right); err != nil {
					t.Error(err)
				}
			})
		}
		release()
		wg.Wait()
		require.Zero(t, password.Taken(h))
	})
}

// An account without a password: the work of a wrong password, and no error.
func TestVerifyWithoutPassword(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{Slots: 1, Queue: -1})
	for _, pw := range []string{"", right} {
		res, err := h.Verify(t.Context(), "", pw)
		require.NoError(t, err)
		require.Equal(t, password.Result{}, res)
	}
	defer password.FillSlots(h)()
	_, err := h.Verify(t.Context(), "", right)
	require.ErrorIs(t, err, password.ErrBusy, "it must take a slot like any other")
}

func TestPBKDF2Config(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]password.Config{
		"$pbkdf2-sha256$i=600000$":  {FIPS: true},
		"$pbkdf2-sha256$i=1200000$": {FIPS: true, Profile: 3},
		"$pbkdf2-sha256$i=700000$":  {FIPS: true, Profile: 3, Iterations: 700_000},
	} {
		h, err := password.New(c)
		require.NoError(t, err)
		stored, err := h.Hash(t.Context(), right)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(stored, want), stored)
		res, err := h.Verify(t.Context(), stored, right)
		require.NoError(t, err)
		require.Equal(t, password.Result{OK: true}, res)
		res, err = h.Verify(t.Context(), stored, right+" ")
		require.NoError(t, err)
		require.Equal(t, password.Result{}, res)
		require.GreaterOrEqual(t, password.Slots(h), 1)
	}
	for name, c := range map[string]password.Config{
		"few iterations":  {FIPS: true, Iterations: 599_999},
		"many iterations": {FIPS: true, Iterations: 10_000_001},
		"negative":        {FIPS: true, Iterations: -1, InsecureFast: true},
		"memory":          {FIPS: true, Memory: 19456},
		"Argon2id":        {Iterations: 600_000},
	} {
		_, err := password.New(c)
		require.ErrorContains(t, err, "password: Config.", name)
	}
}

// A hash of PBKDF2 is replaced whatever of it is another's.
func TestPBKDF2NeedsRehash(t *testing.T) {
	t.Parallel()
	h := fast(t, password.Config{FIPS: true, Iterations: 1000})
	own, err := h.Hash(t.Context(), right)
	require.NoError(t, err)
	for stored, want := range map[string]bool{
		own: false,
		strings.Replace(own, "i=1000$", "i=1000,l=32$", 1): true,
	} {
		res, err := h.Verify(t.Context(), stored, right)
		require.NoError(t, err)
		require.Equal(t, password.Result{OK: true, NeedsRehash: want}, res, stored)
	}
	for _, other := range []password.Config{{FIPS: true, Iterations: 1001}, {}} {
		res, err := fast(t, other).Verify(t.Context(), own, right)
		require.NoError(t, err)
		require.Equal(t, password.Result{OK: true, NeedsRehash: true}, res)
	}
}

// fuzzForm checks that a parser takes one spelling only, or nothing.
func fuzzForm(f *testing.F, prefix string, strict bool, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	for _, s := range slices.Sorted(maps.Values(hostileForeign())) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		again, err := password.Parse(s)
		if err != nil {
			require.ErrorIs(t, err, password.ErrHash)
			return
		}
		require.LessOrEqual(t, len(s), 256)
		require.LessOrEqual(t, password.Memory(s), uint32(256<<10))
		require.NotContains(t, s, "\n")
		if strict && strings.HasPrefix(s, prefix) {
			require.Equal(t, s, again)
		}
	})
}

func FuzzBcrypt(f *testing.F) { fuzzForm(f, "$2", true, goodBcrypt) }
func FuzzScrypt(f *testing.F) { fuzzForm(f, "$scrypt$", false, goodScrypt) }
func FuzzPBKDF2(f *testing.F) {
	fuzzForm(f, "", true, goodPBKDF2, goodLength, goodLib, goodDjango)
}
