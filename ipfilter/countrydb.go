// SPDX-License-Identifier: Apache-2.0

package ipfilter

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
	"github.com/portalsec/portalsec/ipfilter/internal/ranges"
)

// CountryDB tells the country of addresses. It is read only, so any number of goroutines may use it.
type CountryDB struct {
	table ranges.Table
	built time.Time
}

// OpenCountryDB reads a file in the MaxMind DB format whose records have country.iso_code, as those of MaxMind, or
// country_code, as those of other makers. The whole file is read and checked, so that no damage to its tree or its
// country codes is found only at a request. The file may be replaced or removed afterwards.
func OpenCountryDB(path string) (*CountryDB, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("ipfilter: country file: %w", err) // os errors name the path
	}
	db, err := parseCountryDB(b)
	if err != nil {
		return nil, fmt.Errorf("ipfilter: country file %s: %w", path, err)
	}
	return db, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return io.ReadAll(f)
}

// parseCountryDB turns the file's tree into ranges, which need a quarter of the memory and a fifth of the time
// of the tree itself.
func parseCountryDB(b []byte) (*CountryDB, error) {
	if len(b) == 0 {
		return nil, errors.New("it is empty")
	}
	r, err := maxminddb.OpenBytes(b)
	if err != nil {
		return nil, fmt.Errorf("not a MaxMind DB: %w", err)
	}
	defer r.Close()

	// A tree has one leaf more than nodes. A damaged one in which branches meet has many more ways to its leaves, up
	// to 2^128: that ends here.
	most := 2*uint64(r.Metadata.NodeCount) + 2
	var entries []ranges.Entry
	decoded := map[uintptr]int32{}
	found := false
	for network := range r.Networks(maxminddb.IncludeNetworksWithoutData()) {
		if most--; most == 0 {
			return nil, errors.New("it is damaged: its tree has too many branches")
		}
		if err := network.Err(); err != nil {
			return nil, fmt.Errorf("it is damaged: %w", err)
		}
		if !network.Found() {
			continue
		}
		value, ok := decoded[network.Offset()]
		if !ok {
			c, has, err := decodeCountry(network)
			if err != nil {
				return nil, fmt.Errorf("it is damaged: record of %s: %w", network.Prefix(), err)
			}
			found = found || has
			value = int32(c)
			decoded[network.Offset()] = value
		}
		if value != 0 {
			entries = append(entries, ranges.Entry{Prefix: ranges.Fold(network.Prefix()), Value: value})
		}
	}
	if !found {
		return nil, fmt.Errorf("no record of this %q file has country.iso_code or country_code", r.Metadata.DatabaseType)
	}
	return &CountryDB{table: ranges.New(entries), built: r.Metadata.BuildTime().UTC()}, nil
}

// decodeCountry gives the country of a record, and whether the record has a field for it. Codes that ISO does not
// assign, such as EU or A1, are no country.
func decodeCountry(record maxminddb.Result) (c country, has bool, err error) {
	var code string
	// Some makers have a text where MaxMind has the map "country", which is an error here. Then the other field counts.
	nested := record.DecodePath(&code, "country", "iso_code")
	if nested != nil || code == "" {
		code = ""
		if err := record.DecodePath(&code, "country_code"); err != nil {
			return 0, false, err
		}
	}
	if code == "" {
		return 0, false, nested
	}
	c, _ = parseCountry(code)
	return c, true, nil
}

// Lookup gives the ISO 3166-1 alpha-2 code of the country of an address, in upper case. It tells false when the file
// does not know it, and for special addresses, see the package comment, whatever the file says.
func (db *CountryDB) Lookup(a netip.Addr) (string, bool) {
	if !a.IsValid() || classify(a) != public {
		return "", false
	}
	c := db.lookup(a)
	return c.String(), c != 0
}

func (db *CountryDB) lookup(a netip.Addr) country {
	if v := db.table.Find(a); v != ranges.None {
		return country(v)
	}
	return 0
}

// BuildTime gives when the file was made, in UTC.
func (db *CountryDB) BuildTime() time.Time { return db.built }
