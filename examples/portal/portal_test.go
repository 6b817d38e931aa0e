// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime/multipart"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
	"go4.org/netipx"

	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/portalsec/portalsec/ipfilter"
)

func fresh(t *testing.T, flags ...string) *portal {
	t.Helper()
	return start(t, filepath.Join(t.TempDir(), "data"), flags...)
}

// ticketForm is a new ticket with a file, as a browser sends it.
func ticketForm(t *testing.T, subject, body, name, content string) (string, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	require.NoError(t, m.WriteField("subject", subject))
	require.NoError(t, m.WriteField("body", body))
	f, err := m.CreateFormFile("file", name)
	require.NoError(t, err)
	_, err = f.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, m.Close())
	return m.FormDataContentType(), &b
}

// openTicket opens a ticket with a file and gives its path.
func (c *client) openTicket(subject, body, name, content string) string {
	c.p.t.Helper()
	kind, form := ticketForm(c.p.t, subject, body, name, content)
	res := c.do(http.MethodPost, "/tickets", kind, form)
	require.Equal(c.p.t, http.StatusSeeOther, res.status, res.body)
	path, _, _ := strings.Cut(res.header.Get("Location"), "?")
	return path
}

func TestAPI(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	info, err := os.Stat(filepath.Join(p.data, "demo-accounts.json"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	visitor := p.client()
	require.Equal(t, http.StatusOK, visitor.get("/healthz").status)
	for _, path := range []string{"/api/me", "/api/tickets", "/api/tickets/x"} {
		res := visitor.get(path)
		require.Equal(t, http.StatusUnauthorized, res.status, path)
		require.Equal(t, "application/problem+json", res.header.Get("Content-Type"))
	}
	customer := p.account("noordzee", "customer")
	wrong := customer
	wrong.Password = "not the password"
	unknown := account{Email: "nobody@noordzee.example", Password: "not the password"}
	var answers []response
	for _, a := range []account{wrong, unknown} {
		b, err := json.Marshal(map[string]string{"email": a.Email, "password": a.Password})
		require.NoError(t, err)
		res := p.client().do(http.MethodPost, "/api/login", "application/json", bytes.NewReader(b))
		require.Equal(t, http.StatusUnauthorized, res.status)
		require.Empty(t, res.header.Values("Set-Cookie"))
		res.header.Del("Date")
		res.header.Del("Content-Security-Policy") // its nonce is new each time
		answers = append(answers, res)
	}
	require.Equal(t, answers[0], answers[1], "a wrong password and an unknown address look the same")

	c := p.client()
	require.Equal(t, "session", c.login(customer))
	var me struct {
		Email, Tenant  string
		Roles, Factors []string
	}
	require.NoError(t, json.Unmarshal([]byte(c.get("/api/me").body), &me))
	require.Equal(t, customer.Email, me.Email)
	require.Equal(t, []string{"customer"}, me.Roles)
	require.Equal(t, []string{"password"}, me.Factors)

	path := c.openTicket("A question", "Is this read?", "note.txt", "the file")
	var list []struct{ ID, Subject string }
	require.NoError(t, json.Unmarshal([]byte(c.get("/api/tickets").body), &list))
	require.Equal(t, "A question", list[0].Subject)
	require.Equal(t, path, "/tickets/"+list[0].ID)
	var one struct {
		Messages    []struct{ Body string }
		Attachments []struct {
			Name, URL string
			Size      int64
		}
	}
	require.NoError(t, json.Unmarshal([]byte(c.get("/api"+path).body), &one))
	require.Equal(t, "Is this read?", one.Messages[0].Body)
	require.Equal(t, "note.txt", one.Attachments[0].Name)
	file := c.get(one.Attachments[0].URL)
	require.Equal(t, "the file", file.body)
	require.Contains(t, file.header.Get("Content-Disposition"), "attachment")

	require.Equal(t, http.StatusNoContent, c.do(http.MethodPost, "/api/logout", "", nil).status)
	require.Equal(t, http.StatusUnauthorized, c.get("/api/me").status)

	for name, body := range map[string]string{"not JSON": "{", "two values": `{}{}`, "empty": ""} {
		require.Equal(t, http.StatusBadRequest, visitor.do(http.MethodPost, "/api/login", "application/json", strings.NewReader(body)).status, name)
	}
	require.Equal(t, http.StatusUnsupportedMediaType, visitor.post("/api/login", "email", customer.Email).status)
	require.Equal(t, http.StatusRequestEntityTooLarge, visitor.do(http.MethodPost, "/api/login", "application/json",
		strings.NewReader(`{"email":"`+strings.Repeat("x", 100_000)+`"}`)).status)
}

func TestTwoFactorsForEveryone(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	before := p.as("noordzee", "customer")
	admin := p.as("noordzee", "administrator")
	require.Equal(t, http.StatusForbidden, before.post("/admin/security", "form", "security", "everyone", "on").status)
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/security", "form", "security", "everyone", "on").status)
	require.Equal(t, http.StatusOK, before.get("/api/me").status, "it takes effect at the next login")

	c := p.client()
	customer := p.account("noordzee", "customer")
	require.Equal(t, "enrol", c.login(customer))
	require.Equal(t, http.StatusUnauthorized, c.get("/api/me").status, "a pending login is no session")
	status, enrolment := c.call("/api/enrol", nil)
	require.Equal(t, http.StatusOK, status)
	secret := enrolment["secret"].(string)
	require.Len(t, secret, 32, "160 bits in base32")
	code := func(at time.Time) string {
		s, err := totp.GenerateCode(secret, at)
		require.NoError(t, err)
		return s
	}
	status, _ = c.call("/api/mfa", map[string]string{"code": "000000"})
	require.Equal(t, http.StatusUnauthorized, status)
	used := code(time.Now())
	status, out := c.call("/api/mfa", map[string]string{"code": used})
	require.Equal(t, http.StatusOK, status)
	require.Len(t, out["recovery_codes"], 10)
	require.Contains(t, c.get("/api/me").body, `"totp"`)

	again := p.client()
	require.Equal(t, "totp", again.login(customer))
	status, _ = again.call("/api/mfa", map[string]string{"code": used})
	require.Equal(t, http.StatusUnauthorized, status, "the code of the enrolment is spent")
	status, out = again.call("/api/mfa", map[string]string{"code": code(time.Now().Add(30 * time.Second))})
	require.Equal(t, http.StatusOK, status, out)
	require.Equal(t, http.StatusOK, again.get("/api/me").status)

	other := p.client()
	require.Equal(t, "session", other.login(p.account("vondel", "customer")), "the other organisation has its own switch")
}

func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	customer := p.as("noordzee", "customer")
	path := customer.openTicket("Private", "Only for the clinic", "a.txt", "secret file")
	require.Equal(t, http.StatusOK, p.as("noordzee", "agent").get(path).status)

	stranger := p.as("vondel", "customer")
	colleague := p.as("vondel", "agent")
	for _, c := range []*client{stranger, colleague} {
		missing := c.get("/tickets/NOSUCHTICKET")
		refused := c.get(path)
		require.Equal(t, http.StatusNotFound, refused.status)
		require.Equal(t, missing.status, refused.status)
		require.Equal(t, missing.body, refused.body, "another organisation's ticket looks like none")
		require.Equal(t, http.StatusNotFound, c.get("/api"+path).status)
		require.Equal(t, http.StatusNotFound, c.post(path+"/reply", "body", "hello").status)
		require.NotContains(t, c.get("/tickets").body, "Private")
	}
	for role, may := range map[string]map[string]int{
		"customer":         {"/tickets": 200, "/appointments": 200, "/admin/users": 403, "/admin/security": 403, "/admin/network": 403, "/admin/audit": 403, "/admin/retention": 403},
		"agent":            {"/tickets": 200, "/appointments": 200, "/admin/users": 403, "/admin/audit": 403, "/admin/retention": 403},
		"privacy-officer":  {path: 403, "/admin/retention": 200, "/admin/users": 403, "/admin/network": 403},
		"security-officer": {path: 403, "/admin/audit": 200, "/admin/security": 200, "/admin/network": 200, "/admin/users": 200, "/admin/reports": 200, "/admin/mail": 403},
		"administrator":    {path: 403, "/admin/users": 200, "/admin/security": 200, "/admin/network": 200, "/admin/mail": 200, "/admin/reports": 403},
	} {
		c := p.as("noordzee", role)
		for page, want := range may {
			require.Equal(t, want, c.get(page).status, "%s on %s", role, page)
		}
		require.Equal(t, http.StatusOK, c.get("/account").status)
		require.Equal(t, http.StatusOK, c.get("/").status)
	}
	require.Equal(t, http.StatusForbidden, customer.post(path+"/delete").status)
	require.Equal(t, http.StatusForbidden, p.as("noordzee", "agent").post(path+"/close").status)

	crossSite := p.as("noordzee", "customer")
	crossSite.header.Set("Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, crossSite.post("/account/contact", "phone", "1").status)
}

// TestNothingReadableOnDisk looks for what people wrote in every byte that the portal keeps.
func TestNothingReadableOnDisk(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	customer := p.as("noordzee", "customer")
	path := customer.openTicket("MarkerSubject", "MarkerBody of the ticket", "MarkerName.txt", strings.Repeat("MarkerContent ", 5000))
	require.Equal(t, http.StatusSeeOther, customer.post("/account/contact", "phone", "+31MarkerPhone", "address", "MarkerAddress 1").status)
	agent := p.as("noordzee", "agent")
	require.Contains(t, agent.get(path).body, "MarkerAddress 1", "it is there for who may read it")
	require.Equal(t, http.StatusSeeOther, agent.post(path+"/reply", "body", "MarkerReply").status)
	require.Equal(t, http.StatusUnauthorized, status(p.client().call("/api/login", map[string]string{"email": "MarkerUnknown@noordzee.example", "password": "MarkerPassword"})))

	words := []string{"Marker", "Sanne", "de Vries", "Duinweg", "dermatolog", "Leaking tap", "4471-B", "@noordzee.example", "@vondel.example", "1234 5678"}
	look := func() {
		files := 0
		require.NoError(t, filepath.WalkDir(p.data, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == "demo-accounts.json" {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			for _, w := range words {
				require.False(t, bytes.Contains(bytes.ToLower(b), []byte(strings.ToLower(w))), "%q is readable in %s", w, path)
			}
			return nil
		}))
		require.GreaterOrEqual(t, files, 6, "database, write-ahead log, audit log, key, files")
	}
	look() // while it runs, with the write-ahead log
	require.Equal(t, 0, p.stop())
	look()
}

func status(code int, _ map[string]any) int { return code }

// TestFlippedByte changes one bit of the audit log on the disk.
func TestFlippedByte(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	p.as("noordzee", "customer").openTicket("x", "y", "z", "w")
	officer := p.as("noordzee", "security-officer")
	require.Contains(t, officer.post("/admin/audit/verify").body, "The log is whole")
	page := officer.get("/admin/audit").body
	require.Contains(t, page, "app.ticket_opened")
	require.Contains(t, page, "Sanne de Vries")
	require.NotContains(t, page, "Noor van Dijk", "the other organisation is not shown")
	require.Equal(t, 0, p.stop())

	dir := filepath.Join(p.data, "audit")
	good, err := ledger.Verify(t.Context(), dir)
	require.NoError(t, err)
	require.True(t, good.OK(), good.Problem)
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	b, err := os.ReadFile(files[0])
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(files[0], b, 0o600))
	bad, err := ledger.Verify(t.Context(), dir)
	require.NoError(t, err)
	require.False(t, bad.OK())
	t.Logf("found: entry %d, %s", bad.FirstBad, bad.Problem)
}

// countryFile makes a small country database with documentation addresses.
func countryFile(t *testing.T) string {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-Country", RecordSize: 24, IncludeReservedNetworks: true})
	require.NoError(t, err)
	for prefix, country := range map[string]string{"192.0.2.0/24": "NL", "198.51.100.0/24": "DE", "2001:db8:1::/48": "NL"} {
		require.NoError(t, w.Insert(netipx.PrefixIPNet(netip.MustParsePrefix(prefix)),
			mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(country)}}))
	}
	path := filepath.Join(t.TempDir(), "country.mmdb")
	f, err := os.Create(path)
	require.NoError(t, err)
	_, err = w.WriteTo(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return path
}

// ruleOwners gives who answers for the network rules that refuse.
func (p *portal) ruleOwners() map[string]bool {
	p.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(p.data, "portal.db"))
	require.NoError(p.t, err)
	defer db.Close()
	var text string
	require.NoError(p.t, db.QueryRow(`SELECT rules FROM ps_network_rules`).Scan(&text))
	var rules ipfilter.Rules
	require.NoError(p.t, json.Unmarshal([]byte(text), &rules))
	owners := map[string]bool{}
	for _, r := range rules.Deny {
		owners[r.Owner] = true
	}
	return owners
}

// rules sends the form of the network rules, with some of its fields filled in.
func (c *client) rules(version string, fields ...string) response {
	c.p.t.Helper()
	form := map[string]string{"version": version, "allow": "", "deny": "", "allow_countries": "", "deny_countries": ""}
	for i := 0; i+1 < len(fields); i += 2 {
		form[fields[i]] = fields[i+1]
	}
	var all []string
	for name, value := range form {
		all = append(all, name, value)
	}
	return c.post("/admin/network", all...)
}

// TestCountries admits the Netherlands only, behind a proxy that is trusted and with one that is not.
func TestCountries(t *testing.T) {
	t.Parallel()
	p := fresh(t, "-country-db", countryFile(t), "-trusted-proxies", "127.0.0.1/32")
	at := func(addr string) *client {
		c := p.client()
		c.header.Set("X-Forwarded-For", addr)
		return c
	}
	require.Equal(t, http.StatusOK, at("198.51.100.7").get("/login").status, "no rules yet")

	admin := at("192.0.2.10")
	require.Equal(t, "session", admin.login(p.account("noordzee", "administrator")))
	require.Equal(t, http.StatusUnprocessableEntity, admin.rules("0", "allow_countries", "Holland").status)
	require.Equal(t, http.StatusUnprocessableEntity, admin.rules("0", "deny", "office 10.0.0.0").status)
	require.Contains(t, admin.rules("0", "deny", "192.0.2.0/24 all\nmine").body, "Never these networks, entry 2")
	require.Equal(t, http.StatusUnprocessableEntity, admin.post("/admin/network", "version", "0").status, "nothing is not empty")
	require.Equal(t, http.StatusConflict, admin.rules("0", "allow_countries", "DE").status, "would lock the administrator out")
	require.Equal(t, http.StatusSeeOther, admin.rules("0", "allow_countries", "NL").status)
	require.Equal(t, http.StatusConflict, admin.rules("0", "allow_countries", "NL BE").status, "made to rules that are gone")

	require.Equal(t, http.StatusOK, at("192.0.2.99").get("/login").status)
	require.Equal(t, http.StatusOK, at("2001:db8:1::5").get("/login").status)
	refused := at("198.51.100.7").get("/login")
	require.Equal(t, http.StatusForbidden, refused.status)
	require.NotContains(t, refused.body, "DE", "the answer does not tell the rule")
	require.Equal(t, http.StatusForbidden, at("203.0.113.5").get("/login").status, "of unknown country")
	require.Equal(t, http.StatusForbidden, at("192.0.2.99, 198.51.100.7").get("/login").status, "only the entry that the proxy wrote counts")
	require.Equal(t, http.StatusBadRequest, at("not an address").get("/login").status)
	require.Contains(t, admin.get("/admin/network?explain=198.51.100.7").body, "DE")

	officer := at("192.0.2.11")
	require.Equal(t, "session", officer.login(p.account("noordzee", "security-officer")))
	require.Equal(t, http.StatusConflict, officer.rules("1", "allow_countries", "NL", "deny", "192.0.2.0/24 all of them").status)

	require.Equal(t, http.StatusSeeOther, admin.rules("1", "allow_countries", "NL", "deny", "203.0.113.0/24 one").status)
	require.Equal(t, http.StatusSeeOther, officer.rules("2", "allow_countries", "NL", "deny", "203.0.113.0/24 one\n198.51.100.0/24 two").status)
	require.Len(t, p.ruleOwners(), 2, "each answers for the rule that is theirs")

	log := officer.get("/admin/audit?kind=ipfilter.refused").body
	require.Contains(t, log, "country-denied")
	require.Contains(t, log, "country-unknown")
	require.Contains(t, log, "198.51.100.7")
	neighbour := at("192.0.2.12")
	require.Equal(t, "session", neighbour.login(p.account("vondel", "administrator")))
	require.Equal(t, http.StatusForbidden, neighbour.get("/admin/network").status, "the rules are the operator's")
	require.Equal(t, http.StatusForbidden, neighbour.rules("1", "allow_countries", "").status)

	direct := fresh(t, "-country-db", countryFile(t))
	require.Equal(t, http.StatusSeeOther, direct.as("noordzee", "administrator").rules("0", "deny", "192.0.2.0/24").status)
	spoofed := direct.client()
	spoofed.header.Set("X-Forwarded-For", "192.0.2.1")
	require.Equal(t, http.StatusOK, spoofed.get("/login").status, "the header of a stranger is not read")
}

// TestRestart stops and kills the portal: what was answered is there afterwards.
func TestRestart(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, data)
	first := p.as("noordzee", "customer")
	first.openTicket("Before the stop", "x", "f", "g")
	accounts, err := os.ReadFile(filepath.Join(data, "demo-accounts.json"))
	require.NoError(t, err)
	require.Equal(t, 0, p.stop())
	require.NotContains(t, p.log(), "level=ERROR")

	p = start(t, data)
	again, err := os.ReadFile(filepath.Join(data, "demo-accounts.json"))
	require.NoError(t, err)
	require.Equal(t, accounts, again, "no second demonstration")
	c := p.as("noordzee", "customer")
	require.Contains(t, c.get("/tickets").body, "Before the stop")

	// Eight writers at work while the process is killed.
	var mu sync.Mutex
	var answered []string
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				kind, form := ticketForm(t, fmt.Sprintf("Ticket %d-%d", i, n), "body", "f.txt", "content")
				req, err := http.NewRequest(http.MethodPost, p.url+"/tickets", form)
				if err != nil {
					return
				}
				req.Header.Set("Content-Type", kind)
				res, err := c.http.Do(req)
				if err != nil {
					return // the process is gone
				}
				res.Body.Close()
				if res.StatusCode != http.StatusSeeOther {
					return
				}
				mu.Lock()
				answered = append(answered, strings.TrimSuffix(res.Header.Get("Location"), "?done=opened"))
				enough := len(answered) == 40
				mu.Unlock()
				if enough {
					_ = p.cmd.Process.Kill()
				}
			}
		})
	}
	wg.Wait()
	p.wait()
	require.GreaterOrEqual(t, len(answered), 40)

	p = start(t, data)
	c = p.as("noordzee", "customer")
	for _, path := range answered {
		page := c.get(path)
		require.Equal(t, http.StatusOK, page.status, path)
		file := regexp.MustCompile(`/tickets/\w+/files/\w+`).FindString(page.body)
		require.Equal(t, "content", c.get(file).body)
	}
	require.Contains(t, p.as("noordzee", "security-officer").post("/admin/audit/verify").body, "The log is whole")
	require.Equal(t, 0, p.stop())
}

// TestAppointments books, moves and cancels, and lets two people want the same time.
func TestAppointments(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	c := p.as("noordzee", "customer")
	slots := regexp.MustCompile(`<option value="(\d{4}-[^"]+)"`).FindAllStringSubmatch(c.get("/appointments").body, -1)
	require.NotEmpty(t, slots)
	slot := slots[len(slots)-1][1]

	codes := make(chan int, 12)
	var wg sync.WaitGroup
	for range cap(codes) {
		wg.Go(func() { codes <- c.post("/appointments", "slot", slot, "topic", "The same time").status })
	}
	wg.Wait()
	close(codes)
	won := 0
	for code := range codes {
		if code == http.StatusSeeOther {
			won++
		} else {
			require.Equal(t, http.StatusConflict, code)
		}
	}
	require.Equal(t, 1, won)

	page := c.get("/appointments").body
	id := regexp.MustCompile(`/appointments/(\w+)/move`).FindStringSubmatch(page)[1]
	require.Equal(t, http.StatusSeeOther, c.post("/appointments/"+id+"/move", "slot", slots[len(slots)-2][1]).status)
	require.Equal(t, http.StatusConflict, c.post("/appointments/"+id+"/move", "slot", "2020-01-01T03:00").status)
	require.Equal(t, http.StatusUnprocessableEntity, c.post("/appointments/"+id+"/move", "slot", "tomorrow").status)
	require.Equal(t, http.StatusUnprocessableEntity, c.post("/appointments", "slot", slot, "topic", "").status)
	require.Equal(t, http.StatusNotFound, p.as("vondel", "customer").post("/appointments/"+id+"/cancel").status)
	require.Equal(t, http.StatusSeeOther, c.post("/appointments/"+id+"/cancel").status)
	p.letter("customer@noordzee.example", "Your appointment has changed")
}

// TestRetention deletes tickets whose time is over, after a dry run and an approval.
func TestRetention(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	officer := p.as("noordzee", "privacy-officer")
	page := officer.get("/admin/retention")
	require.Equal(t, http.StatusOK, page.status)
	policy := regexp.MustCompile(`/admin/retention/([^/"]+)/dry-run`).FindStringSubmatch(page.body)
	require.NotNil(t, policy, page.body)
	path := "/admin/retention/" + policy[1]

	require.Equal(t, http.StatusConflict, officer.post(path+"/run").status, "not approved yet")
	plan := officer.post(path + "/dry-run")
	require.Equal(t, http.StatusOK, plan.status)
	hash := regexp.MustCompile(`name="plan" value="([^"]+)"`).FindStringSubmatch(plan.body)
	require.NotNil(t, hash, plan.body)
	require.Contains(t, plan.body, `<span class="figure">1</span>`, "the other organisation's is not counted")
	require.Contains(t, p.as("noordzee", "agent").get("/tickets").body, "Invoice of the blood test", "a dry run deletes nothing")

	require.Equal(t, http.StatusConflict, officer.post(path+"/approve", "plan", "0000").status)
	require.Equal(t, http.StatusSeeOther, officer.post(path+"/approve", "plan", hash[1]).status)
	report := officer.post(path + "/run")
	require.Equal(t, http.StatusOK, report.status, report.body)
	require.Contains(t, report.body, `<span class="figure">1</span>`)
	require.Contains(t, p.as("vondel", "agent").get("/tickets").body, "Rent statement of last year", "nor touched")
	require.Equal(t, http.StatusNotFound, p.as("vondel", "privacy-officer").post(path+"/run").status)
	tickets := p.as("noordzee", "agent").get("/tickets").body
	require.NotContains(t, tickets, "Invoice of the blood test")
	require.Contains(t, tickets, "Change of insurer")
	require.Equal(t, http.StatusForbidden, p.as("noordzee", "agent").post(path+"/run").status)
}

// TestAdministration makes a user, gives and takes a role, and shuts the account.
func TestAdministration(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	admin := p.as("noordzee", "administrator")
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/users", "name", "New Person", "email", "new@noordzee.example").status)
	require.Equal(t, http.StatusConflict, admin.post("/admin/users", "name", "Twice", "email", "NEW@noordzee.example").status)
	require.Equal(t, http.StatusUnprocessableEntity, admin.post("/admin/users", "name", "", "email", "x@noordzee.example").status)
	page, token := p.link(p.letter("new@noordzee.example", ""))
	require.Equal(t, http.StatusSeeOther, p.client().setPassword(page, token, newPassword).status)
	person := p.client()
	require.Equal(t, "session", person.login(account{Email: "new@noordzee.example", Password: newPassword}))
	require.Equal(t, http.StatusForbidden, person.get("/tickets").status, "without a role nothing is allowed")

	users := admin.get("/admin/users").body
	require.Contains(t, users, "New Person")
	row := users[strings.Index(users, "New Person"):]
	id := regexp.MustCompile(`/admin/users/([\w-]+)/roles`).FindStringSubmatch(row)[1]
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/users/"+id+"/roles", "role", "agent", "reason", "joins the desk").status)
	require.Equal(t, http.StatusOK, person.get("/tickets").status, "at the very next request")
	require.Equal(t, http.StatusUnprocessableEntity, admin.post("/admin/users/"+id+"/roles", "role", "emperor", "reason", "x").status)
	require.Equal(t, http.StatusNotFound, p.as("vondel", "administrator").post("/admin/users/"+id+"/roles", "role", "agent", "reason", "x").status)
	require.Equal(t, http.StatusSeeOther, admin.post("/admin/users/"+id+"/roles", "role", "agent", "act", "take").status)
	require.Equal(t, http.StatusForbidden, person.get("/tickets").status)

	require.Equal(t, http.StatusSeeOther, admin.post("/admin/users/"+id+"/disabled", "disabled", "true").status)
	require.Equal(t, http.StatusUnauthorized, person.get("/api/me").status, "signed out everywhere")
	code, _ := p.client().call("/api/login", map[string]string{"email": "new@noordzee.example", "password": newPassword})
	require.Equal(t, http.StatusUnauthorized, code)
}

// TestHeaders looks at what every answer carries.
func TestHeaders(t *testing.T) {
	t.Parallel()
	p := fresh(t)
	for _, path := range []string{"/login", "/nothing-here", "/static/portal.css", "/api/me"} {
		h := p.client().get(path).header
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", path)
		require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.NotEmpty(t, h.Get("Referrer-Policy"), path)
	}
	require.Contains(t, p.client().get("/login").header.Get("Cache-Control"), "no-store")

	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	secure := fresh(t, "-addr", addr, "-public-url", "https://portal.example")
	secure.url = "http://" + addr // where the proxy that speaks TLS would ask
	a := secure.account("noordzee", "customer")
	body, err := json.Marshal(map[string]string{"email": a.Email, "password": a.Password})
	require.NoError(t, err)
	res := secure.client().do(http.MethodPost, "/api/login", "application/json", bytes.NewReader(body))
	require.Equal(t, http.StatusOK, res.status)
	require.NotEmpty(t, res.header.Get("Strict-Transport-Security"))
	require.NotEmpty(t, res.header.Values("Set-Cookie"))
	for _, cookie := range res.header.Values("Set-Cookie") {
		require.Regexp(t, `^__Host-`, cookie)
		require.Contains(t, cookie, "Secure")
		require.Contains(t, cookie, "HttpOnly")
		require.Contains(t, cookie, "SameSite=")
	}
}
