package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/etch/etchtag/tagging"
)

const (
	checkGrace  = 5 * time.Second // between a check's end by signal and giving up on its output
	checkOutput = 64 << 10        // bytes of a check's output that are kept
)

// runCheck runs the site's own check in the staged tree. If it fails there is no tag; and if it changed
// the tree, then what it passed is not what upstream has.
func (m *Manager) runCheck(ctx context.Context, tree string, manifest *tagging.Manifest) error {
	if len(m.Check) == 0 {
		return nil
	}
	command := strings.Join(m.Check, " ")
	output := &limitedBuffer{limit: checkOutput}
	cmd := exec.CommandContext(ctx, m.Check[0], m.Check[1:]...)
	cmd.Dir = tree
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its children too
	cmd.WaitDelay = checkGrace
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("the check %q refuses the tree: %w\n%s", command, err, strings.TrimSpace(output.String()))
	}
	drift, err := Compare(ctx, tree, manifest, CompareOptions{})
	if err != nil {
		return err
	}
	if len(drift) > 0 {
		return fmt.Errorf("the check %q changed the tree that it was to check in %d places, such as %s",
			command, len(drift), drift[0])
	}
	return nil
}

// limitedBuffer keeps the first bytes that are written to it and forgets the rest.
type limitedBuffer struct {
	bytes.Buffer
	limit int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	keep := min(len(p), b.limit-b.Len())
	b.Buffer.Write(p[:max(keep, 0)])
	return len(p), nil
}
