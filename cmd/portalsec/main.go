// SPDX-License-Identifier: Apache-2.0

// Portalsec is the command line of the portalsec SDK: it verifies and shows audit logs, makes key files and
// checks role policies. It works on files alone and asks no network.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

// Exit codes of every command.
const (
	exitOK      = 0 // done, and nothing was found
	exitFinding = 1 // done, and something is wrong with what was looked at
	exitFailed  = 2 // could not be done
)

// finding is an error that says that the command did its work and found something wrong.
type finding struct{ error }

type commands struct {
	Audit struct {
		Verify auditVerify `cmd:"" help:"Check every entry of an audit log. Exits 1 when one is not as it was written."`
		Show   auditShow   `cmd:"" help:"Show the entries of an audit log, newest first."`
	} `cmd:"" help:"Work with audit logs, also while a portal writes to them."`
	Keys struct {
		New keysNew `cmd:"" help:"Write a new random key to a file that does not exist yet."`
	} `cmd:"" help:"Work with key files."`
	RBAC struct {
		Check rbacCheck `cmd:"" help:"Check the form of a role policy. Exits 1 when it has mistakes."`
	} `cmd:"" name:"rbac" help:"Work with role policies."`
}

const description = `Verifies and shows audit logs, makes key files and checks role policies.

Exit codes: 0 done and nothing found, 1 done and something is wrong with what was looked at, 2 could not be done (no such file, wrong arguments, a log of a newer version).`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run carries out the command that args name and gives the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	helped := false
	parser, err := kong.New(&commands{},
		kong.Name("portalsec"), kong.Description(description),
		kong.Writers(stdout, stderr), kong.Exit(func(int) { helped = true }),
		kong.BindTo(stdout, (*io.Writer)(nil)),
	)
	if err != nil {
		fmt.Fprintln(stderr, "portalsec:", err)
		return exitFailed
	}
	ctx, err := parser.Parse(args)
	if helped { // kong has written the help and goes on only because Exit returned
		return exitOK
	}
	if err == nil {
		err = ctx.Run()
	}
	var found finding
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &found):
		if text := found.Error(); text != "" {
			fmt.Fprintln(stderr, text)
		}
		return exitFinding
	default:
		fmt.Fprintln(stderr, "portalsec:", err)
		return exitFailed
	}
}
