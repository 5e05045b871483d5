package health

import (
	"errors"
	"fmt"
	"io/fs"
)

// nodetaggerFinding looks at the program that the etch server starts.
func (x *Facts) nodetaggerFinding() Finding {
	const what, do = "nodetagger", "etchtag init links it"
	p := x.Nodetagger
	switch {
	case errors.Is(p.File.Err, fs.ErrNotExist):
		return Finding{Problem, what, p.File.Path + " is not there, or leads nowhere: the etch server serves nobody", do}
	case p.File.Err != nil:
		return cannotSee(what, p.File.Err)
	case !p.File.Mode.IsRegular() || p.File.Mode&0o111 == 0:
		return Finding{Problem, what, p.File.Path + " is no program: the etch server serves nobody", do}
	case errors.Is(p.Version.Err, fs.ErrPermission):
		return cannotSee(what, p.Version.Err)
	case p.Version.Err != nil:
		return Finding{OK, what, "is a program of the site's own", ""}
	case p.Version.Value != p.Ours:
		return Finding{Warning, what, fmt.Sprintf("is of version %s, and this program of %s: they may decide differently",
			p.Version.Value, p.Ours), "install etchtag and nodetagger of one version"}
	case p.Lacks != "":
		return Finding{Problem, what, p.Lacks + ": until this is mended no host is served", do}
	}
	return Finding{OK, what, "is of the same version as this program", ""}
}
