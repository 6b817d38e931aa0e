// SPDX-License-Identifier: Apache-2.0

package ipfilter

import "strings"

// assigned are the 249 codes of ISO 3166-1 alpha-2 in order, from iso3166.tab of the IANA time zone database (public
// domain), and XK, the code for Kosovo which is not assigned but in all country files.
const assigned = "" +
	"AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW " +
	"BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI " +
	"FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN " +
	"IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME " +
	"MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF " +
	"PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV " +
	"SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK " +
	"YE YT ZA ZM ZW "

// country is the place of a code in assigned, from 1. 0 is unknown.
type country uint8

// parseCountry reads a code in any case. It refuses what is not assigned, such as "UK" or "EU".
func parseCountry(s string) (country, bool) {
	if len(s) != 2 {
		return 0, false
	}
	code := strings.ToUpper(s)
	for i := 0; i < len(assigned); i += 3 {
		if assigned[i:i+2] == code {
			return country(i/3 + 1), true
		}
	}
	return 0, false
}

// String gives the code in upper case, or nothing when it is unknown.
func (c country) String() string {
	if c == 0 {
		return ""
	}
	i := 3 * (int(c) - 1)
	return assigned[i : i+2]
}

// countrySet is a set of countries.
type countrySet [256]bool

func newCountrySet(codes []string) (s countrySet) {
	for _, code := range codes {
		if c, ok := parseCountry(code); ok {
			s[c] = true
		}
	}
	return s
}
