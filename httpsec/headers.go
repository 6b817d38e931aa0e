// SPDX-License-Identifier: Apache-2.0

package httpsec

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/portalsec/portalsec"
)

type nonceKey struct{}

// Nonce gives the nonce of the response, which script and style elements must carry as their nonce attribute. It is
// of 130 random bits, new for each response, and empty outside of [Headers].
func Nonce(ctx context.Context) string {
	s, _ := ctx.Value(nonceKey{}).(string)
	return s
}

// permissions turns off what a portal does not use (Permissions Policy, W3C). Passkeys and full screen stay on
// for the portal's own pages; OWASP's list turns passkeys off.
const permissions = "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), fullscreen=(self), " +
	"geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), " +
	"publickey-credentials-create=(self), publickey-credentials-get=(self), screen-wake-lock=(), usb=(), " +
	"xr-spatial-tracking=()"

// defaultHSTSMaxAge is what browsers' preload lists and OWASP ask for: two years.
const defaultHSTSMaxAge = 2 * 365 * 24 * time.Hour

// Headers sets the security headers of every response (OWASP Secure Headers, ASVS 5.0 3.4) and makes its nonce. They are
// set before the handler runs, so a handler may change one for its page. Cache-Control is no-store unless the
// handler says otherwise, as it should for files that are the same for everybody.
func Headers(c Config) (portalsec.Middleware, error) {
	csp, err := policy(c.CSP)
	if err != nil {
		return nil, err
	}
	age := c.HSTSMaxAge
	if age == 0 {
		age = defaultHSTSMaxAge
	}
	if age < time.Second { // max-age=0 would make browsers forget the site
		return nil, errors.New("httpsec: Config.HSTSMaxAge is less than a second")
	}
	hsts := fmt.Sprintf("max-age=%d; includeSubDomains", age/time.Second)
	fixed := [...]struct{ name, value string }{
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"}, // for browsers without frame-ancestors
		{"Referrer-Policy", "same-origin"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Permissions-Policy", permissions},
		{"Cache-Control", "no-store"},
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			nonce := rand.Text()
			h := w.Header()
			// One array for all values. Each has no room after it, so that a handler's Add cannot reach the next.
			values := make([]string, len(fixed)+2)
			set := func(i int, name, value string) {
				values[i] = value
				h[name] = values[i : i+1 : i+1]
			}
			for i, f := range fixed {
				set(i, f.name, f.value)
			}
			set(len(fixed), "Content-Security-Policy", strings.Join(csp, nonce))
			if c.HSTS || r.TLS != nil {
				set(len(fixed)+1, "Strict-Transport-Security", hsts)
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nonceKey{}, nonce)))
		})
	}, nil
}
