package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKeepLooksAgainOnceItHasWritten takes the tag away after keep has found it, as a prune does that has looked before.
func TestKeepLooksAgainOnceItHasWritten(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"lock tagstate", "rename tagstate", "sync directory of tagstate"} {
		base := t.TempDir()
		tag := filepath.Join(base, "tags", hourTag(1))
		must(t, os.MkdirAll(tag, 0o755))
		var stderr bytes.Buffer
		a := app{stdout: &bytes.Buffer{}, stderr: &stderr, getenv: os.Getenv, now: time.Now, step: func(label string) error {
			if label == at {
				return os.Remove(tag)
			}
			return nil
		}}
		oneCommand.Lock()
		code := a.run([]string{"etchtag", "--base", base, "keep", hourTag(1), "--reason", "audit"})
		oneCommand.Unlock()
		if code != exitFailed || !strings.Contains(stderr.String(), hourTag(1)+" is gone") {
			t.Errorf("%s: exit status %d: %s", at, code, &stderr)
		}
	}
}
