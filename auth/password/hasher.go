// SPDX-License-Identifier: Apache-2.0

package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"

	"github.com/portalsec/portalsec"
)

// MaxBytes is the greatest length of a password in bytes. It leaves room for 256 characters of any script
// (ASVS 6.2.9 asks for 64), and bounds what a request can make us work on.
const MaxBytes = 1024

const (
	saltSize = 16 // bytes, RFC 9106 section 3.1
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
	// Slots is how many hashes are computed at once. 0 means as many as there are processors, but no more than
	// together use 64 MiB, and at least one.
	Slots int
	// Queue is how many callers may wait for a slot. 0 means 32 for each slot, a negative number means none.
	Queue int
	// InsecureFast lets Memory and Time be less than is safe. It is for tests.
	InsecureFast bool
}

// Hasher makes and verifies password hashes. It may be used by several goroutines.
type Hasher struct {
	params   params
	admitted chan struct{} // one element for each caller in a slot or in the queue
	slots    chan struct{} // one element for each caller in a slot
	unknown  phc           // what VerifyUnknown verifies against
}

// New gives a hasher.
func New(c Config) (*Hasher, error) {
	p := params{memory: 19 << 10, time: 2, threads: 1}
	if c.Profile >= portalsec.L3 {
		p = params{memory: 64 << 10, time: 3, threads: 4}
	}
	if c.Memory != 0 {
		p.memory = c.Memory
	}
	if c.Time != 0 {
		p.time = c.Time
	}
	if c.Threads != 0 {
		p.threads = c.Threads
	}
	if !p.ok() {
		return nil, fmt.Errorf("password: Config.Memory (in KiB), Time and Threads must be at most %d, %d and %d, and Memory at least 8 for each thread",
			maxMemory, maxTime, maxThreads)
	}
	if !c.InsecureFast && (p.memory < leastMemory || p.memory*p.time < leastWork) {
		return nil, fmt.Errorf("password: Config.Memory must be at least %d KiB, and Memory times Time at least %d", leastMemory, leastWork)
	}
	if c.Slots < 0 {
		return nil, errors.New("password: Config.Slots must not be negative")
	}
	slots := c.Slots
	if slots == 0 {
		slots = max(1, min(runtime.GOMAXPROCS(0), int(slotMemory/p.memory)))
	}
	queue := max(0, c.Queue)
	if c.Queue == 0 {
		queue = queuePerSlot * slots
	}
	return &Hasher{
		params:   p,
		admitted: make(chan struct{}, slots+queue),
		slots:    make(chan struct{}, slots),
		// A random sum is the hash of no password, and costs nothing to make.
		unknown: phc{params: p, salt: random(saltSize), sum: random(sumSize)},
	}, nil
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
	out := phc{params: h.params, salt: random(saltSize), sum: make([]byte, sumSize)}
	sum, err := h.derive(ctx, out, pw)
	if err != nil {
		return "", err
	}
	out.sum = sum
	return out.String(), nil
}

// Result is the answer to a password that was checked.
type Result struct {
	// OK tells that the password is right.
	OK bool
	// NeedsRehash tells that the stored hash was made with other parameters than the configured ones: replace
	// it by a new [Hasher.Hash] of the password. Only set when OK is.
	NeedsRehash bool
}

// Verify checks a password against a stored PHC string; the comparison takes constant time. It waits and fails
// like [Hasher.Hash]; a password that is too long is wrong. For a string that it does not understand it
// returns [ErrHash] after the time that a wrong password would have taken. For an account without a password use
// [Hasher.VerifyUnknown].
func (h *Hasher) Verify(ctx context.Context, stored, pw string) (Result, error) {
	// Before anything else, as in VerifyUnknown: a long password must not tell whether the account exists.
	if len(pw) > MaxBytes {
		return Result{}, ctx.Err()
	}
	want, parseErr := parsePHC(stored)
	if parseErr != nil {
		want = h.unknown
	}
	got, err := h.derive(ctx, want, pw)
	if err != nil {
		return Result{}, err
	}
	ok := subtle.ConstantTimeCompare(got, want.sum) == 1
	if parseErr != nil {
		return Result{}, parseErr
	}
	fresh := want.params == h.params && len(want.salt) == saltSize && len(want.sum) == sumSize
	return Result{OK: ok, NeedsRehash: ok && !fresh}, nil
}

// VerifyUnknown does for a login name that does not exist what [Hasher.Verify] does for one that does, and
// takes as long, so that the time of the answer does not tell them apart (ASVS 6.3.8). The password is
// wrong unless it returns an error, and then it was not checked.
func (h *Hasher) VerifyUnknown(ctx context.Context, pw string) error {
	_, err := h.Verify(ctx, h.unknown.String(), pw)
	return err
}

// derive computes a hash in a slot.
func (h *Hasher) derive(ctx context.Context, p phc, pw string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case h.admitted <- struct{}{}:
		defer func() { <-h.admitted }()
	default:
		return nil, ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return p.derive(pw), nil
}
