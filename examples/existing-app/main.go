// SPDX-License-Identifier: Apache-2.0

// Existing-app is a notes application that has its own users and its own login, and keeps both. It adopts four
// packages by filling a Principal in one function: rbac guards its routes, ipfilter says from where they may be
// used, audit writes down what was done, crypto seals the notes.
package main

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/portalsec/portalsec/crypto"
	"github.com/portalsec/portalsec/httpsec"
	"github.com/portalsec/portalsec/ipfilter"
	"github.com/portalsec/portalsec/ipfilter/clientip"
	"github.com/portalsec/portalsec/rbac"
	"golang.org/x/crypto/bcrypt"
)

//go:embed policy.yaml
var policy embed.FS

var (
	noteRead  = rbac.Permission("note.read", "read notes")
	noteWrite = rbac.Permission("note.write", "write notes")
)

// user is what the application had: its own table, its own password hashes, its own groups.
type user struct {
	id, group, practice string
	password            []byte // bcrypt
}

// note is one of the application's records. Scope and Owner tell the policy whose it is.
type note struct {
	id, practice, patient string
	sealed                []byte
}

func (n note) Scope() string { return n.practice }
func (n note) Owner() string { return n.patient }

type app struct {
	users map[string]user // by login name
	text  *crypto.Field
	audit audit.Recorder
	roles *rbac.Engine

	mu    sync.Mutex
	notes map[string]note
}

func main() {
	if err := run(context.Background(), "127.0.0.1:8082", "existing-app-data"); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, dir string) error {
	a, h, err := newApp(ctx, dir)
	if err != nil {
		return err
	}
	for _, name := range []string{"doctor", "patient"} {
		secret, err := a.addUser(name)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s\n", name, secret)
	}
	fmt.Printf(`Write a note as the doctor, read it as the patient:
  curl -u doctor:... -d patient=patient-1 -d text='sleeps badly' http://%[1]s/notes/1
  curl -u patient:... http://%[1]s/notes/1
`, addr)
	return httpsec.Server(httpsec.Config{Addr: addr, Handler: h}).ListenAndServe()
}

// newApp wires the four packages around the handlers that were there before.
func newApp(ctx context.Context, dir string) (*app, http.Handler, error) {
	record, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, "audit")})
	if err != nil {
		return nil, nil, err
	}
	keyFile := filepath.Join(dir, "root.key")
	if _, err := os.Stat(keyFile); errors.Is(err, fs.ErrNotExist) {
		if err := crypto.GenerateKeyFile(keyFile); err != nil {
			return nil, nil, err
		}
	}
	root, err := crypto.OpenKeyFile(keyFile)
	if err != nil {
		return nil, nil, err
	}
	ring, err := crypto.New(ctx, crypto.Config{Root: root, Store: crypto.NewMemory(), Audit: record})
	if err != nil {
		return nil, nil, err
	}
	permissions, err := rbac.NewCatalog(noteRead, noteWrite)
	if err != nil {
		return nil, nil, err
	}
	// The application keeps its groups itself: they are the roles of its principals.
	roles, err := rbac.Open(ctx, permissions, rbac.Config{Policy: policy, RolesOfPrincipal: true, Audit: record})
	if err != nil {
		return nil, nil, err
	}
	clients, err := clientip.New(clientip.Config{}) // no proxy in front: the peer is the client
	if err != nil {
		return nil, nil, err
	}
	network, err := ipfilter.New(ipfilter.Config{Audit: record, Rules: ipfilter.Rules{Allow: []ipfilter.PrefixRule{
		{Prefix: "127.0.0.0/8", Label: "this machine"}, {Prefix: "192.168.0.0/16", Label: "practice"},
	}}})
	if err != nil {
		return nil, nil, err
	}
	a := &app{users: map[string]user{}, notes: map[string]note{}, text: ring.Field("note", "text"), audit: record, roles: roles}

	mux := rbac.NewMux(roles)
	mux.HandleFunc("GET /notes/{id}", rbac.Need(noteRead).Object(), a.readNote)
	mux.HandleFunc("POST /notes/{id}", rbac.Need(noteWrite).Object(), a.writeNote)
	h := portalsec.Chain(mux, clients.Middleware(), network.Middleware(),
		http.NewCrossOriginProtection().Handler, a.login, audit.Middleware(record))
	return a, h, nil
}

// login is the application's own: HTTP basic authentication against its own table. Filling the Principal at its
// end is all that the packages ask for.
func (a *app) login(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		u, ok := a.users[name]
		if !ok || bcrypt.CompareHashAndPassword(u.password, []byte(password)) != nil {
			w.Header().Set("WWW-Authenticate", `Basic realm="notes"`)
			portalsec.Deny(w, r, portalsec.Denial{Status: http.StatusUnauthorized})
			return
		}
		ctx := portalsec.WithPrincipal(r.Context(), portalsec.Principal{
			ID: u.id, Tenant: u.practice, Roles: []string{u.group},
		})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (a *app) readNote(w http.ResponseWriter, r *http.Request) {
	n, ok := a.find(r.PathValue("id"))
	if !ok {
		a.roles.Deny(w, r, rbac.ErrNotFound)
		return
	}
	if err := a.roles.Check(r.Context(), noteRead, n); err != nil {
		a.roles.Deny(w, r, err)
		return
	}
	text, err := a.text.Open(r.Context(), portalsec.Row{Tenant: n.practice, Subject: n.patient, ID: n.id}, n.sealed)
	if err != nil {
		portalsec.Deny(w, r, portalsec.Denial{Status: http.StatusInternalServerError})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(text)
}

func (a *app) writeNote(w http.ResponseWriter, r *http.Request) {
	p, _ := portalsec.PrincipalFrom(r.Context())
	n := note{id: r.PathValue("id"), practice: p.Tenant, patient: r.FormValue("patient")}
	if old, ok := a.find(n.id); ok {
		n.practice, n.patient = old.practice, old.patient
	}
	err := a.roles.Check(r.Context(), noteWrite, n)
	if err == nil {
		row := portalsec.Row{Tenant: n.practice, Subject: n.patient, ID: n.id}
		n.sealed, err = a.text.Seal(r.Context(), row, []byte(r.FormValue("text")))
	}
	if err == nil {
		err = a.audit.Record(r.Context(), audit.Event{Kind: "app.note_written", Outcome: audit.Success,
			Target: &audit.Target{Type: "note", ID: n.id}, Subjects: []audit.Pseudonym{audit.Pseudonym(n.patient)}})
	}
	if err != nil {
		a.roles.Deny(w, r, err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes[n.id] = n
	w.WriteHeader(http.StatusNoContent)
}

func (a *app) find(id string) (note, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, ok := a.notes[id]
	return n, ok
}

// addUser makes one of the application's users with a random password.
func (a *app) addUser(group string) (password string, err error) {
	password = rand.Text()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	a.users[group] = user{id: group + "-1", group: group, practice: "main", password: hash}
	return password, err
}
