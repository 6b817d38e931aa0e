// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"strings"
	"testing"

	"github.com/portalsec/portalsec/auth/session"
	"github.com/stretchr/testify/require"
)

func TestDevice(t *testing.T) {
	t.Parallel()
	for ua, want := range map[string]string{
		"":      "",
		"x":     "",
		firefox: "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36":                         "Chrome on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                   "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0 Mobile/15E148 Safari/604.1":           "Chrome on iPad",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":     "Samsung Internet on Android",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36":                          "Chrome on ChromeOS",
		"curl/8.14.1":                           "curl",
		"Go-http-client/2.0":                    "Go program",
		"Links (Linux)":                         "Linux",
		strings.Repeat("x", 1024) + "Firefox/1": "",
	} {
		require.Equal(t, want, session.Device(ua), ua)
	}
}

func FuzzDevice(f *testing.F) {
	f.Add(firefox)
	f.Add("Android Firefox/\x00<script>")
	f.Fuzz(func(t *testing.T, ua string) {
		got := session.Device(ua)
		if len(got) > 40 {
			t.Errorf("Device(%q) = %q is long", ua, got)
		}
		for _, c := range got {
			if c != ' ' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
				t.Errorf("Device(%q) = %q holds what no fixed word does", ua, got)
			}
		}
	})
}
