// SPDX-License-Identifier: Apache-2.0

package ipfilter_test

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/portalsec/portalsec/ipfilter"
	"github.com/stretchr/testify/require"
)

var built = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// nested and flat are the two shapes of record.
func nested(code string) mmdbtype.DataType {
	return mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code), "names": mmdbtype.Map{"en": mmdbtype.String("Name")}}}
}

func flat(code string) mmdbtype.DataType { return mmdbtype.Map{"country_code": mmdbtype.String(code)} }

// mmdb makes a country file. Its writer makes 2002::/16 and 2001::/32 aliases of the IPv4 part, as MaxMind's does.
func mmdb(t testing.TB, o mmdbwriter.Options, records map[string]mmdbtype.DataType) []byte {
	t.Helper()
	o.DatabaseType, o.RecordSize, o.IncludeReservedNetworks, o.BuildEpoch = "Test-Country", 24, true, built.Unix()
	tree, err := mmdbwriter.New(o)
	require.NoError(t, err)
	for bits := range 129 { // shorter prefixes first, because a later one replaces what it holds
		for prefix, record := range records {
			_, network, err := net.ParseCIDR(prefix)
			require.NoError(t, err)
			if ones, _ := network.Mask.Size(); ones == bits {
				require.NoError(t, tree.Insert(network, record))
			}
		}
	}
	var b bytes.Buffer
	_, err = tree.WriteTo(&b)
	require.NoError(t, err)
	return b.Bytes()
}

// write gives the path of a file.
func write(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "country.mmdb")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

// countries is the file of most tests: it calls special ranges Australia, as real ones do.
func countries(t testing.TB) *ipfilter.CountryDB {
	t.Helper()
	db, err := ipfilter.OpenCountryDB(write(t, mmdb(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{
		"192.0.2.0/24": nested("AM"), "198.51.100.0/24": nested("DE"), "203.0.113.0/24": nested("FR"), "203.0.113.64/26": nested("EU"),
		"2001:db8::/32": nested("DE"), "2001:db8:f::/48": nested("FR"),
		"10.0.0.0/8": nested("AU"), "192.168.0.0/16": nested("AU"), "127.0.0.0/8": nested("AU"), "fc00::/7": nested("AU"),
		"100.64.0.0/10": nested("AU"), "64:ff9b::/96": nested("AU"), "::1/128": nested("AU"), "fe80::/10": nested("AU"),
	})))
	require.NoError(t, err)
	return db
}

func TestOpenCountryDB(t *testing.T) {
	t.Parallel()
	shapes := map[string]func(string) mmdbtype.DataType{
		"nested": nested, "flat": flat,
		"both, and country is text": func(code string) mmdbtype.DataType {
			return mmdbtype.Map{"country": mmdbtype.String("Land"), "country_code": mmdbtype.String(code)}
		},
	}
	for name, record := range shapes {
		for _, aliased := range []bool{true, false} {
			b := mmdb(t, mmdbwriter.Options{DisableIPv4Aliasing: !aliased}, map[string]mmdbtype.DataType{
				"0.0.0.0/0": record("US"), "192.0.2.0/24": record("AM"), "192.0.2.128/25": record("xk"), "203.0.113.0/24": record("EU"),
				"203.0.113.9/32": mmdbtype.Map{"continent": mmdbtype.String("x")}, "2001:db8::/32": record("DE"), "2001:db8:8000::/33": record("FR"),
			})
			path := write(t, b)
			db, err := ipfilter.OpenCountryDB(path)
			require.NoError(t, err, name)
			// The file is not needed any more, and writing over it does no harm.
			require.NoError(t, os.Truncate(path, 10))
			require.Equal(t, built, db.BuildTime())
			for addr, want := range map[string]string{
				"192.0.2.1": "AM", "::ffff:192.0.2.1": "AM", "192.0.2.128": "XK", "192.0.1.255": "US", "223.255.255.255": "US", "1.0.0.0": "US",
				"203.0.113.1": "", "203.0.113.9": "", "203.0.114.0": "US",
				"2001:db8::": "DE", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff": "DE", "2001:db8:8000::": "FR", "2001:db9::": "", "2a00::1": "",
				"127.0.0.1": "", "10.0.0.1": "", "0.0.0.0": "", "::1": "", "2002:c000:201::1": "", "2001:0:c000:201::1": "", "64:ff9b::192.0.2.1": "",
				"::192.0.2.1": "", "240.0.0.1": "", "255.255.255.255": "", "224.0.0.1": "", "100.64.0.1": "", "fe80::1%eth0": "",
			} {
				got, ok := db.Lookup(netip.MustParseAddr(addr))
				require.Equal(t, want, got, "%s, %s", name, addr)
				require.Equal(t, want != "", ok, addr)
			}
			_, ok := db.Lookup(netip.Addr{})
			require.False(t, ok)
		}
	}
}

func TestOpenCountryDBOfIPv4Only(t *testing.T) {
	t.Parallel()
	db, err := ipfilter.OpenCountryDB(write(t, mmdb(t, mmdbwriter.Options{IPVersion: 4}, map[string]mmdbtype.DataType{"192.0.2.0/24": flat("AM")})))
	require.NoError(t, err)
	got, _ := db.Lookup(netip.MustParseAddr("192.0.2.1"))
	require.Equal(t, "AM", got)
	_, ok := db.Lookup(netip.MustParseAddr("2001:db8::1"))
	require.False(t, ok)
}

func TestOpenCountryDBRefuses(t *testing.T) {
	t.Parallel()
	good := mmdb(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{"192.0.2.0/24": nested("AM"), "2001:db8::/32": nested("DE")})
	dir := t.TempDir()
	for name, c := range map[string]struct{ path, want string }{
		"missing":     {filepath.Join(dir, "none.mmdb"), "none.mmdb: no such file"},
		"directory":   {dir, "not a regular file"},
		"empty":       {write(t, nil), "it is empty"},
		"text":        {write(t, []byte("country,DE\n")), "not a MaxMind DB"},
		"truncated":   {write(t, good[:len(good)/2]), "not a MaxMind DB"},
		"other data":  {write(t, mmdb(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{"192.0.2.0/24": mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64496)}})), "country_code"},
		"no networks": {write(t, mmdb(t, mmdbwriter.Options{}, nil)), "country_code"},
		"wrong type":  {write(t, mmdb(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{"192.0.2.0/24": mmdbtype.Map{"country_code": mmdbtype.Uint32(1)}})), "record of 192.0.2.0/24"},
		"code is map": {write(t, mmdb(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{"192.0.2.0/24": mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.Bool(true)}}})), "record of 192.0.2.0/24"},
	} {
		_, err := ipfilter.OpenCountryDB(c.path)
		require.ErrorContains(t, err, c.want, name)
		require.ErrorContains(t, err, "ipfilter: country file", name)
		require.ErrorContains(t, err, c.path, name)
	}
}

// FuzzCountryDB checks that no file does worse than to be refused.
func FuzzCountryDB(f *testing.F) {
	records := map[string]mmdbtype.DataType{"192.0.2.0/24": nested("AM"), "198.51.100.0/24": flat("DE"), "2001:db8::/32": nested("FR")}
	for _, o := range []mmdbwriter.Options{{}, {DisableIPv4Aliasing: true}} {
		b := mmdb(f, o, records)
		f.Add(b)
		for i := 0; i < len(b); i += 97 {
			flipped := slices.Clone(b)
			flipped[i] ^= 0xff
			f.Add(flipped)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		db, err := ipfilter.ParseCountryDB(b)
		if err != nil {
			return
		}
		for _, a := range []string{"192.0.2.1", "198.51.100.1", "2001:db8::1", "127.0.0.1"} {
			if code, ok := db.Lookup(netip.MustParseAddr(a)); ok != (len(code) == 2) {
				t.Fatalf("Lookup(%s) = %q, %v", a, code, ok)
			}
		}
	})
}

// TestTreeOfLoops reads a tree in which both branches of every node lead to the next node, with 2^100 ways down.
func TestTreeOfLoops(t *testing.T) {
	t.Parallel()
	b := mmdb(t, mmdbwriter.Options{}, map[string]mmdbtype.DataType{"2001:db8::1/128": nested("AM")})
	for node := range 100 {
		for side := range 2 {
			copy(b[6*node+3*side:], []byte{0, 0, byte(node + 1)})
		}
	}
	_, err := ipfilter.ParseCountryDB(b)
	require.ErrorContains(t, err, "damaged")
}
