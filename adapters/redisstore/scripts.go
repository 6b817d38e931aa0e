// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"embed"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts
var sources embed.FS

// The scripts. Those that let memory grow are refused when it is full. The others are not, so that what is in memory can
// then still be used and, above all, ended. None is marked as only reading: a replica must not answer.
var (
	scriptCreate       = script("session.lua", "create.lua", "")
	scriptVersion      = script("session.lua", "version.lua", "")
	scriptTouch        = script("session.lua", "touch.lua", "allow-oom")
	scriptRotate       = script("session.lua", "rotate.lua", "allow-oom")
	scriptData         = script("session.lua", "data.lua", "")
	scriptDelete       = script("session.lua", "delete.lua", "allow-oom")
	scriptBump         = script("session.lua", "bump.lua", "allow-oom")
	scriptDeleteTenant = script("session.lua", "deletetenant.lua", "allow-oom")
	scriptClear        = script("session.lua", "clear.lua", "allow-oom")
	scriptList         = script("session.lua", "list.lua", "allow-oom")
	scriptPrune        = script("session.lua", "prune.lua", "allow-oom")

	scriptRead          = script("attempt.lua", "read.lua", "")
	scriptTake          = script("attempt.lua", "take.lua", "")
	scriptSettle        = script("attempt.lua", "settle.lua", "allow-oom")
	scriptReset         = script("attempt.lua", "reset.lua", "allow-oom")
	scriptPruneAttempts = script("attempt.lua", "pruneattempts.lua", "allow-oom")
)

func script(library, body, flags string) *redis.Script {
	text := "#!lua flags=" + flags + "\n"
	for _, name := range []string{library, body} {
		b, err := sources.ReadFile("scripts/" + name)
		if err != nil {
			panic(err) // it is in the binary
		}
		text += string(b)
	}
	return redis.NewScript(text)
}
