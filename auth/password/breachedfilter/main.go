// SPDX-License-Identifier: Apache-2.0

// Command breachedfilter makes a file of breached passwords that password.OpenFilter reads.
//
//	go run github.com/portalsec/portalsec/auth/password/breachedfilter -o FILE LIST...
//
// A list has one password on each line, or one SHA-1 in hexadecimal with the number of times it was seen, as Have I
// Been Pwned publishes them. Lists are read as a stream; the machine needs about 30 bytes of memory for
// each password that is taken. The same lists give the same file.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/portalsec/portalsec/auth/internal/breached"
)

// maxBytes is password.MaxBytes: no longer password is ever looked up.
const maxBytes = 1024

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "breachedfilter:", err)
		}
		os.Exit(2)
	}
}

// errEnough ends the reading of lists once there are enough entries.
var errEnough = errors.New("enough")

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("breachedfilter", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("o", "", "the `file` to write")
	minLength := flags.Int("min", 8, "leave out passwords of fewer `characters` (not of a list of hashes)")
	minCount := flags.Uint64("mincount", 1, "leave out hashes that were seen fewer `times`")
	limit := flags.Int("n", 0, "take the first `entries` only, in the order of the lists; 0 takes all")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: breachedfilter -o FILE [flags] LIST...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() == 0 {
		return errors.New("name the file to write with -o, and at least one list")
	}
	var keys []uint64
	seen := map[uint64]bool{} // used only where the entries are counted
	rules := breached.Rules{MinLength: *minLength, MaxBytes: maxBytes, MinCount: *minCount}
	for _, name := range flags.Args() {
		before := len(keys)
		skipped, err := readFile(name, rules, func(key uint64) error {
			if *limit > 0 {
				if len(keys) == *limit {
					return errEnough
				}
				if seen[key] {
					return nil
				}
				seen[key] = true
			}
			keys = append(keys, key)
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(stdout, "%s: %d taken, %d left out\n", name, len(keys)-before, skipped)
	}
	filter, err := breached.Build(keys)
	if err != nil {
		return err
	}
	size, err := writeFile(*out, filter)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d passwords in %d bytes\n", *out, filter.Len(), size)
	return nil
}

func readFile(name string, rules breached.Rules, take func(uint64) error) (skipped int, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return breached.ReadList(f, rules, take)
}

// writeFile writes beside the file and renames, so that a program that starts meanwhile reads the old or the new
// one.
func writeFile(name string, filter *breached.Filter) (size int64, err error) {
	temporary := name + ".new"
	f, err := os.Create(temporary)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriter(f)
	size, err = filter.WriteTo(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary, name)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	return size, err
}
