// SPDX-License-Identifier: Apache-2.0

package httpsec

import (
	"fmt"
	"slices"
	"strings"
)

const none = "'none'"

// noncePlace stands where the nonce comes. Sources are printable, so it is in none.
const noncePlace = "\x00"

const nonceSource = "'nonce-" + noncePlace + "'"

// directive is one directive of the policy.
type directive struct {
	name    string
	sources []string
}

// defaultCSP lets a page have scripts with the response's nonce only, and load all else from its own site (CSP Level 3,
// ASVS 5.0 3.4.3). Images may be data URLs because QR codes are.
func defaultCSP() []directive {
	return []directive{
		{"default-src", []string{none}},
		{"script-src", []string{nonceSource}},
		{"style-src", []string{"'self'", nonceSource}},
		{"img-src", []string{"'self'", "data:"}},
		{"connect-src", []string{"'self'"}},
		{"font-src", []string{"'self'"}},
		{"form-action", []string{"'self'"}},
		{"frame-ancestors", []string{none}},
		{"base-uri", []string{none}},
	}
}

// policy gives the header's value, cut where the nonce comes.
func policy(extra map[string][]string) ([]string, error) {
	csp := defaultCSP()
	names := make([]string, 0, len(extra))
	for name := range extra {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") != "" {
			return nil, fmt.Errorf("httpsec: Config.CSP: %q is not the name of a directive", name)
		}
		i := slices.IndexFunc(csp, func(d directive) bool { return d.name == name })
		if i < 0 {
			csp = append(csp, directive{name: name})
			i = len(csp) - 1
		}
		for _, source := range extra[name] {
			if err := checkSource(name, source); err != nil {
				return nil, err
			}
			csp[i].sources = append(csp[i].sources, source)
		}
		// 'none' counts only alone (CSP Level 3 section 2.3.1).
		if len(csp[i].sources) > 1 {
			csp[i].sources = slices.DeleteFunc(csp[i].sources, func(s string) bool { return s == none })
		}
	}
	var parts []string
	for _, d := range csp {
		parts = append(parts, strings.Join(append([]string{d.name}, d.sources...), " "))
	}
	return strings.Split(strings.Join(parts, "; "), noncePlace), nil
}

// checkSource refuses what would end the directive, and what would undo the policy for scripts.
func checkSource(name, source string) error {
	for _, r := range source {
		if r <= ' ' || r > '~' || r == ';' || r == ',' {
			return fmt.Errorf("httpsec: Config.CSP[%q]: %q is not a source", name, source)
		}
	}
	if source == "" {
		return fmt.Errorf("httpsec: Config.CSP[%q]: empty source", name)
	}
	switch lower := strings.ToLower(source); {
	case !strings.HasPrefix(name, "script-src") && name != "default-src":
	case lower == "'unsafe-inline'", lower == "'unsafe-eval'", lower == "'unsafe-hashes'", lower == "data:", lower == "blob:", lower == "filesystem:", lower == "http:", lower == "https:", anyHost(lower):
		return fmt.Errorf("httpsec: Config.CSP[%q]: %s would let injected scripts run", name, source)
	}
	return nil
}

// anyHost tells whether a source matches every host, whatever its scheme, port and path (CSP Level 3 section 2.3.1).
func anyHost(source string) bool {
	if _, after, ok := strings.Cut(source, "://"); ok {
		source = after
	}
	host, _, _ := strings.Cut(source, "/")
	host, _, _ = strings.Cut(host, ":")
	return host == "*"
}
