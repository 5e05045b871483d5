package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/supervise"
	"github.com/etch/etchtag/tagging/tag"
)

// checkOutput is how much of a check's output is kept, in bytes.
const checkOutput = 64 << 10

// runCheck runs the site's own check in the staged tree. If it fails there is no tag; and if it changed the tree, then
// what it passed is not what upstream has. Nothing that it has started is left when the tree is compared, and so nothing
// changes it after that.
func (t *taking) runCheck(ctx context.Context, tree string, manifest *tag.Manifest) error {
	if len(t.Check) == 0 {
		return nil
	}
	command := strings.Join(t.Check, " ")
	output := &limitedBuffer{limit: checkOutput}
	err := supervise.Command{Path: t.Check[0], Args: t.Check[1:], Dir: tree, Stdout: output, Stderr: output}.Run(ctx)
	if err != nil {
		return fmt.Errorf("the check %q %s: %w\n%s", command, verdict(ctx, err), err, strings.TrimSpace(output.kept.String()))
	}
	drift, err := staged.Compare(ctx, tree, manifest, staged.CompareOptions{})
	if err != nil {
		return err
	}
	if len(drift) > 0 {
		return fmt.Errorf("the check %q changed the tree that it was to check in %d places, such as %s",
			command, len(drift), drift[0])
	}
	return nil
}

// verdict says what a check that failed says of the tree: only its own exit status refuses it.
func verdict(ctx context.Context, err error) string {
	exit := new(supervise.ExitError)
	switch {
	case ctx.Err() != nil:
		return "was interrupted"
	case errors.As(err, &exit) && exit.Status.Exited():
		return "refuses the tree"
	}
	return "did not come to an end"
}

// limitedBuffer keeps the first bytes that are written to it and forgets the rest.
type limitedBuffer struct {
	kept  bytes.Buffer // and not more than that of it, or io.Copy would fill it by itself
	limit int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	keep := min(len(p), b.limit-b.kept.Len())
	b.kept.Write(p[:keep])
	return len(p), nil
}
