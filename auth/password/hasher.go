// SPDX-License-Identifier: Apache-2.0

package password

import (
	"context"
	"crypto/fips140"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/portalsec/portalsec"
)

// MaxBytes is the greatest length of a password in bytes. It leaves room for 256 characters of any script
// (ASVS 6.2.9 asks for 64), and bounds what a request can make us work on.
const MaxBytes = 1024

const (
	saltSize = 16 // bytes, RFC 9106 section 3.1 and NIST SP 800-132 section 5.1
	sumSize  = 32
	// leastMemory (KiB) and leastWork (KiB times passes) let through what the OWASP Password Storage Cheat Sheet
	// lists, from m=46 MiB, t=1 to m=7 MiB, t=5, and nothing weaker.
	leastMemory = 7 << 10
	leastWork   = 5 * leastMemory
	// slotMemory (KiB) bounds what the default number of slots uses at once. The garbage collector lets the heap
	// grow to two or three times that; 500 sign-ins at once stay under 256 MiB.
	slotMemory = 64 << 10
	// queuePerSlot is the default: with the default parameters the last in the queue waits about a second.
	queuePerSlot = 32
)

// Config is the configuration of a [Hasher]. The zero Config is good.
type Config struct {
	// Profile sets the default cost: 19 MiB, 2 passes, 1 lane (OWASP Password Storage Cheat Sheet), and at L3
	// 64 MiB, 3 passes, 4 lanes (RFC 9106 section 4, second choice).
	Profile portalsec.Profile
	// Memory is Argon2id's memory in KiB, at most 262144 (256 MiB). 0 is the profile's.
	Memory uint32
	// Time is the number of passes over the memory, at most 16. 0 is the profile's.
	Time uint32
	// Threads is the number of lanes, at most 16. 0 is the profile's. Hashes made with another number do not
	// match.
	Threads uint8
	// FIPS makes hashes with PBKDF2-HMAC-SHA-256 (NIST SP 800-132) in place of Argon2id, which FIPS 140-3 does
	// not know. PBKDF2 needs no memory, so that whoever stole the hashes guesses faster: set this only where you must. Under
	// GODEBUG=fips140=only [New] demands it.
	FIPS bool
	// Iterations is the cost of PBKDF2, at most 10,000,000, and only with FIPS. 0 is the profile's: 600,000 (OWASP
	// Password Storage Cheat Sheet), and at L3 1,200,000.
	Iterations int
	// Slots is how many hashes are computed at once. 0 means as many as there are processors, but no more than
	// together use 64 MiB, and at least one.
	Slots int
	// Queue is how many callers may wait for a slot. 0 means 32 for each slot, a negative number means none.
	Queue int
	// InsecureFast lets Memory, Time and Iterations be less than is safe. It is for tests.
	InsecureFast bool
}

// Hasher makes and verifies password hashes. It may be used by several goroutines.
type Hasher struct {
	fips       bool
	params     params // of Argon2id, unless fips
	iterations int    // of PBKDF2, if fips
	slots      *slots
	unknown    hash // what VerifyUnknown verifies against
}

// New gives a hasher.
func New(c Config) (*Hasher, error) {
	h := &Hasher{fips: c.FIPS}
	var err error
	if c.FIPS {
		h.iterations, err = c.pbkdf2()
	} else {
		h.params, err = c.argon2()
	}
	if err != nil {
		return nil, err
	}
	if c.Slots < 0 {
		return nil, errors.New("password: Config.Slots must not be negative")
	}
	n := c.Slots
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
		if !h.fips {
			n = max(1, min(n, int(slotMemory/h.params.kib)))
		}
	}
	queue := max(0, c.Queue)
	if c.Queue == 0 {
		queue = queuePerSlot * n
	}
	share := h.params.kib
	if h.fips {
		share = max(1, slotMemory/uint32(n))
	}
	h.slots = newSlots(n, queue, share)
	// A random sum is the hash of no password, and costs nothing to make.
	if h.fips {
		h.unknown = iterated{iterations: h.iterations, salt: random(saltSize), sum: random(sumSize)}
	} else {
		h.unknown = phc{params: h.params, salt: random(saltSize), sum: random(sumSize)}
	}
	return h, nil
}

// argon2 gives the parameters of Argon2id, checked.
func (c Config) argon2() (params, error) {
	if fips140.Enforced() {
		return params{}, errors.New("password: Argon2id is not approved and GODEBUG=fips140=only is set: set Config.FIPS")
	}
	if c.Iterations != 0 {
		return params{}, errors.New("password: Config.Iterations is for Config.FIPS only")
	}
	p := params{kib: 19 << 10, time: 2, threads: 1}
	if c.Profile >= portalsec.L3 {
		p = params{kib: 64 << 10, time: 3, threads: 4}
	}
	if c.Memory != 0 {
		p.kib = c.Memory
	}
	if c.Time != 0 {
		p.time = c.Time
	}
	if c.Threads != 0 {
		p.threads = c.Threads
	}
	if !p.ok() {
		return p, fmt.Errorf("password: Config.Memory (in KiB), Time and Threads must be at most %d, %d and %d, and Memory at least 8 for each thread",
			maxMemory, maxTime, maxThreads)
	}
	if !c.InsecureFast && (p.kib < leastMemory || p.kib*p.time < leastWork) {
		return p, fmt.Errorf("password: Config.Memory must be at least %d KiB, and Memory times Time at least %d", leastMemory, leastWork)
	}
	return p, nil
}

// pbkdf2 gives the number of iterations, checked.
func (c Config) pbkdf2() (int, error) {
	if c.Memory != 0 || c.Time != 0 || c.Threads != 0 {
		return 0, errors.New("password: Config.Memory, Time and Threads are Argon2id's and have no meaning with Config.FIPS")
	}
	n := leastIterations
	if c.Profile >= portalsec.L3 {
		n = 2 * leastIterations
	}
	if c.Iterations != 0 {
		n = c.Iterations
	}
	least := leastIterations
	if c.InsecureFast {
		least = 1
	}
	if n < least || n > maxIterations {
		return 0, fmt.Errorf("password: Config.Iterations must be from %d to %d", least, maxIterations)
	}
	return n, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: it ends the process instead
	return b
}

// Hash gives the PHC string to store for a new password. It does not apply a policy, but returns [ErrLength]
// for a password that is empty or longer than [MaxBytes]. It may wait for a slot, and returns [ErrBusy] when the queue is
// full and the error of ctx when that ends first.
func (h *Hasher) Hash(ctx context.Context, pw string) (string, error) {
	if pw == "" || len(pw) > MaxBytes {
		return "", ErrLength
	}
	var stored string
	_, err := h.slots.do(ctx, h.unknown.memory(), func() (bool, error) {
		if h.fips {
			out := iterated{iterations: h.iterations, salt: random(saltSize), sum: make([]byte, sumSize)}
			sum, err := out.derive(pw)
			out.sum = sum
			stored = out.String()
			return true, err
		}
		out := phc{params: h.params, salt: random(saltSize), sum: make([]byte, sumSize)}
		out.sum = out.derive(pw)
		stored = out.String()
		return true, nil
	})
	if err != nil {
		return "", err
	}
	return stored, nil
}

// Result is the answer to a password that was checked.
type Result struct {
	// OK tells that the password is right.
	OK bool
	// NeedsRehash tells that the stored hash was made by another algorithm or with other parameters than the
	// configured ones: replace it by a new [Hasher.Hash] of the password. Only set when OK is, and never for a
	// password with a zero byte, which some algorithms do not tell from others.
	NeedsRehash bool
}

// Verify checks a password against a stored hash, one of [Hasher.Hash] or one of the application's past (see the
// package comment); the comparison takes constant time. It waits and fails like [Hasher.Hash]; a password
// that is too long is wrong. For a string that it does not understand it returns [ErrHash] after the time that a
// wrong password would have taken.
//
// An empty string stands for an account without a password. No password is right for it, and this is found out after
// the same time: see [Hasher.VerifyUnknown].
func (h *Hasher) Verify(ctx context.Context, stored, pw string) (Result, error) {
	// Before anything else, as in VerifyUnknown: a long password must not tell whether the account exists.
	if len(pw) > MaxBytes {
		return Result{}, ctx.Err()
	}
	want, unread := h.unknown, error(nil)
	if stored != "" {
		if want, unread = parse(stored); unread == nil && fips140.Enforced() {
			if _, approved := want.(iterated); !approved {
				unread = ErrHash
			}
		}
		if unread != nil {
			want = h.unknown
		}
	}
	ok, err := h.slots.do(ctx, want.memory(), func() (bool, error) { return want.verify(pw) })
	if err == nil {
		err = unread
	}
	if err != nil {
		return Result{}, err
	}
	// bcrypt and PBKDF2 take "a" and "a\x00" for one password. A new hash of the latter would be one of another.
	return Result{OK: ok, NeedsRehash: ok && !h.fresh(want) && strings.IndexByte(pw, 0) < 0}, nil
}

// fresh tells whether a hash is such as Hash makes. The parameters of the algorithm that is not configured are zero, which no
// stored hash has.
func (h *Hasher) fresh(stored hash) bool {
	switch s := stored.(type) {
	case phc:
		return !s.independent && s.params == h.params && len(s.salt) == saltSize && len(s.sum) == sumSize
	case iterated:
		return s.form == ownForm && s.iterations == h.iterations && len(s.salt) == saltSize && len(s.sum) == sumSize
	}
	return false
}

// VerifyUnknown does for a login name that does not exist what [Hasher.Verify] does for one that does, and
// takes as long, so that the time of the answer does not tell them apart (ASVS 6.3.8). It costs what a hash of
// the present parameters costs, because that is what most accounts have. The password is wrong unless it returns an
// error, and then it was not checked.
func (h *Hasher) VerifyUnknown(ctx context.Context, pw string) error {
	_, err := h.Verify(ctx, "", pw)
	return err
}
