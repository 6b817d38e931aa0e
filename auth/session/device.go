// SPDX-License-Identifier: Apache-2.0

package session

import "strings"

// The first mark that a User-Agent holds names it. Order matters: most browsers claim to be Chrome and Safari
// as well, Android claims to be Linux, and an iPad may claim to be a Mac.
var (
	browsers = [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Vivaldi/", "Vivaldi"},
		{"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"},
		{"Safari/", "Safari"}, {"curl/", "curl"}, {"Go-http-client/", "Go program"},
	}
	systems = [][2]string{
		{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"},
		{"CrOS", "ChromeOS"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}, {"FreeBSD", "FreeBSD"},
	}
)

// Device sums up a User-Agent header for a person who looks at their own sessions, such as "Firefox on
// Linux". It is made of a few fixed words, whatever the header holds, and is empty when it knows none of
// them. A client can claim anything: never decide by it.
func Device(userAgent string) string {
	if len(userAgent) > 1024 {
		userAgent = userAgent[:1024]
	}
	browser, system := first(userAgent, browsers), first(userAgent, systems)
	switch {
	case system == "":
		return browser
	case browser == "":
		return system
	default:
		return browser + " on " + system
	}
}

func first(s string, marks [][2]string) string {
	for _, m := range marks {
		if strings.Contains(s, m[0]) {
			return m[1]
		}
	}
	return ""
}
