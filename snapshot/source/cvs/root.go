package cvs

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/etch/etchtag/snapshot/source/remote"
)

const (
	cvsLocal   = "local"
	cvsFork    = "fork" // a server on this machine
	cvsExt     = "ext"
	cvsPserver = "pserver"

	pserverPort = "2401"
)

// repositoryRoot is the name of a repository, taken apart.
type repositoryRoot struct {
	method         string // one of the four
	options        string // of the method, such as ";proxy=HOST"
	user, password string
	host, port     string // empty for a local one
	path           string // absolute, clean
}

// parseCVSRoot takes the name of a repository apart, as cvs(1) describes it. Its errors do not show a password.
func parseCVSRoot(raw string) (repositoryRoot, error) {
	r, why := splitCVSRoot(raw)
	if why == "" {
		return r, nil
	}
	return repositoryRoot{}, fmt.Errorf("the CVS repository %q %s", remote.Redact(raw, r.password), why)
}

// splitCVSRoot returns the parts, and what is wrong with them.
func splitCVSRoot(raw string) (r repositoryRoot, why string) {
	rest := raw
	if inner, ok := strings.CutPrefix(raw, ":"); ok {
		method, after, ok := strings.Cut(inner, ":")
		if !ok {
			return r, "has no path: write :METHOD:[USER@]HOST:/PATH"
		}
		r.method, rest = method, after
		if i := strings.IndexByte(method, ';'); i >= 0 {
			r.method, r.options = method[:i], method[i:]
		}
	} else if r.method = cvsLocal; !strings.HasPrefix(raw, "/") {
		r.method = cvsExt
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return r, "has no absolute path"
	}
	where := rest[:slash]
	if !strings.HasPrefix(raw, ":") && where != "" && !strings.Contains(where, ":") {
		return r, "is no absolute path"
	}
	r.path = filepath.Clean(rest[slash:])
	if at := strings.LastIndexByte(where, '@'); at >= 0 {
		r.user, r.password, _ = strings.Cut(where[:at], ":")
		where = where[at+1:]
	}
	r.host, r.port, _ = strings.Cut(where, ":")
	return r, r.wrong(raw, where)
}

// wrong says what is wrong with a repository, empty if nothing is.
func (r repositoryRoot) wrong(raw, where string) string {
	if strings.ContainsAny(raw, "\x00\r\n\t") {
		return "holds a control character"
	}
	switch r.method {
	case cvsLocal, cvsFork:
		if where != "" || r.user != "" {
			return "is local and names a host"
		}
		return ""
	case cvsExt, cvsPserver:
	default:
		return "has an unknown method: use :local:, :ext: or :pserver:"
	}
	if r.host == "" || strings.HasPrefix(r.host, "-") || strings.HasPrefix(r.user, "-") {
		return "names no host"
	}
	if _, err := strconv.ParseUint(cmp.Or(r.port, "1"), 10, 16); err != nil {
		return "has a port that is no number"
	}
	return ""
}

// String returns the name that the client is given: without password, and without a port that it would not take.
func (r repositoryRoot) String() string {
	switch r.method {
	case cvsLocal:
		return r.path
	case cvsFork:
		return ":" + cvsFork + ":" + r.path
	}
	host := r.host
	if r.user != "" {
		host = r.user + "@" + host
	}
	if r.method == cvsPserver {
		return ":" + cvsPserver + r.options + ":" + host + ":" + r.port + r.path
	}
	return ":" + cvsExt + r.options + ":" + host + ":" + r.path
}

// place says which repository it is, however it is reached.
func (r repositoryRoot) place() string {
	port := r.port
	if r.method == cvsPserver && port == pserverPort {
		port = ""
	}
	return strings.ToLower(r.host) + ":" + port + r.path
}

// origin is what a directory was checked out from.
type origin struct {
	root   repositoryRoot
	module string // a directory in the repository, or a name that the repository gives to some
}

// readCVSOrigin reads what the working copy dir was checked out from. Our own record knows it as it was configured: a
// module's name need not be the directory's, and the client writes no port of ssh's.
func readCVSOrigin(dir string) (o origin, err error) {
	root, err := readCVSLine(dir, "Root")
	if err != nil {
		return o, err
	}
	repository, err := readCVSLine(dir, "Repository")
	if err != nil {
		return o, err
	}
	if o.root, err = parseCVSRoot(root); err != nil {
		return o, err
	}
	o.module = filepath.Clean(strings.TrimPrefix(repository, o.root.path+"/"))
	if record := readCVSRecord(dir); record != nil && record.repository == repository && record.root == root {
		o.module = record.module
		if o.root.port == "" {
			o.root.port = record.port
		}
	}
	return o, checkCVSModule(o.module)
}

// readCVSLine returns the only line of a file in a directory's CVS directory.
func readCVSLine(dir, name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, cvsDir, name))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimRight(line, "\r"), nil
}

// checkCVSModule returns an error if a module's name cannot be one.
func checkCVSModule(module string) error {
	if !filepath.IsLocal(module) || strings.HasPrefix(module, "-") || strings.ContainsAny(module, "\x00\r\n") {
		return fmt.Errorf("%q is no name of a CVS module: it has to be a path below the repository", module)
	}
	return nil
}
