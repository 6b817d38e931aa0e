// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrEviction says that the server's maxmemory-policy is not noeviction.
	ErrEviction = errors.New("redisstore: the server evicts keys when its memory is full: set maxmemory-policy noeviction")
	// ErrSnapshots says that the server may start again with an old snapshot, or does not tell whether it may.
	ErrSnapshots = errors.New(`redisstore: after a crash the server may bring ended sessions back: set appendonly yes, or save "" for no persistence`)
)

// DefaultPrefix is the [Config.Prefix] that an empty one means.
const DefaultPrefix = "portalsec"

// operationTimeout bounds each step of a call, such as the wait for an answer, when its context has no earlier end.
const operationTimeout = time.Second

// Config is the configuration of a [DB].
type Config struct {
	// Prefix begins every key. Empty means [DefaultPrefix]. Portals that share a server must have different ones.
	Prefix string
	// InsecureAllowEviction lets New accept a server that evicts keys. Then whoever can fill the server's memory can make
	// it forget failed attempts. Sessions may end early; an ended one stays ended.
	InsecureAllowEviction bool
	// InsecureAllowSnapshots lets New accept a server that saves snapshots without an append-only file, or that allows no
	// CONFIG GET, as hosted ones do. If it ever starts from an old snapshot, the sessions ended since are alive again.
	InsecureAllowSnapshots bool
}

// DB is a Redis server that was found fit. It may be used by several goroutines.
type DB struct {
	client *redis.Client
	prefix string
}

// Options gives the options of a client for a URL such as rediss://user:password@redis.example:6379/0, with the
// settings that [New] asks for: calls end with their context, and nothing is sent twice. Connecting, writing, the wait
// for an answer, and that for a connection of the pool take at most a second each. The URL's parameters change what
// they name; see redis.ParseURL for them.
func Options(url string) (*redis.Options, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("redisstore: the URL of the server is not valid") // the cause may quote the password
	}
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout = cmp.Or(o.DialTimeout, operationTimeout)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, operationTimeout)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, operationTimeout)
	o.PoolTimeout = cmp.Or(o.PoolTimeout, operationTimeout)
	return o, nil
}

// New gives the stores in the server of client, one of redis.NewClient or redis.NewFailoverClient. It returns
// [ErrEviction] or [ErrSnapshots] when the server would not keep what it is told, and another error when the server
// cannot be asked, is a replica, belongs to a Redis Cluster or is older than 7.0, and when the client retries or does
// not heed contexts: see [Options]. The server's settings are looked at once. The caller closes client.
func New(ctx context.Context, client *redis.Client, c Config) (*DB, error) {
	switch o := client.Options(); {
	case !o.ContextTimeoutEnabled:
		return nil, errors.New("redisstore: the client must end its calls with their context: set ContextTimeoutEnabled")
	case o.MaxRetries != 0:
		return nil, errors.New("redisstore: the client must not do an act twice whose answer was lost: set MaxRetries to -1")
	}
	text, err := client.Info(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("redisstore: ask the server what it is: %w", err)
	}
	info := parseInfo(text)
	major, _, _ := strings.Cut(info["redis_version"], ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		return nil, fmt.Errorf("redisstore: the server's version is %q: want 7.0 or later", info["redis_version"])
	}
	switch {
	case info["cluster_enabled"] == "1":
		return nil, errors.New("redisstore: the server belongs to a Redis Cluster: use a primary with replicas")
	case info["role"] != "master":
		return nil, errors.New("redisstore: the server is a replica: connect to the primary")
	case info["maxmemory_policy"] != "noeviction" && !c.InsecureAllowEviction:
		return nil, ErrEviction
	case info["aof_enabled"] != "1" && !c.InsecureAllowSnapshots:
		save, err := client.ConfigGet(ctx, "save").Result()
		var refused redis.Error
		switch {
		case errors.As(err, &refused):
			return nil, fmt.Errorf("%w (it does not say: %w)", ErrSnapshots, err)
		case err != nil:
			return nil, fmt.Errorf("redisstore: ask the server what it saves: %w", err)
		}
		if points, ok := save["save"]; !ok || points != "" {
			return nil, ErrSnapshots
		}
	}
	return &DB{client: client, prefix: cmp.Or(c.Prefix, DefaultPrefix)}, nil
}

// parseInfo reads the answer to INFO.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// run has the server run a script. Its first argument is always the prefix.
func (db *DB) run(ctx context.Context, s *redis.Script, args ...any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.Run(ctx, db.client, nil, append([]any{db.prefix}, args...)...).Result()
}

// number runs a script that answers with an integer.
func (db *DB) number(ctx context.Context, s *redis.Script, args ...any) (int64, error) {
	answer, err := db.run(ctx, s, args...)
	if err != nil {
		return 0, err
	}
	n, ok := answer.(int64)
	if !ok {
		return 0, errAnswer
	}
	return n, nil
}

var errAnswer = errors.New("the server gave an answer that no script gives")
