package nventory

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"github.com/etch/etchtag/tagging/inventory/parse"
)

// showSettings writes settings in a short form.
func showSettings(s *settings) string {
	parts := []string{s.server.String()}
	if s.user != nil {
		parts = append(parts, "user "+s.user.String())
	}
	if s.proxy != nil {
		parts = append(parts, "proxy "+s.proxy.String())
	}
	if s.caFile != "" {
		parts = append(parts, "file "+s.caFile)
	}
	if s.caPath != "" {
		parts = append(parts, "path "+s.caPath)
	}
	return strings.Join(parts, ", ")
}

func TestConfigurationOfNVentory(t *testing.T) {
	const standard = "http://nventory/"
	tests := []struct {
		name, first, second, server string
		want                        string
	}{
		{"nothing", "", "", "", standard},
		{"all keys", "server = https://nv.example.com\nproxy_server = http://proxy:3128\nca_file = /a b.pem\nca_path = /etc/ssl/certs\n", "", "",
			"https://nv.example.com/, proxy http://proxy:3128, file /a b.pem, path /etc/ssl/certs"},
		{"a later file wins", "server = http://a/\nca_file = /a", "server = http://b/", "", "http://b/, file /a"},
		{"a later line wins", "server = http://a/\nserver = http://b/\n", "", "", "http://b/"},
		{"the option wins", "server = http://u:p@a/\nca_file = /a", "server = http://b/", "https://c", "https://c/, file /a"},
		{"nothing takes back", "server = http://u:p@a/\nproxy_server = http://p/\nca_file = /a\nca_path = /a",
			"server =\nproxy_server=\nca_file = \nca_path = # none\n", "", standard},
		{"white space", "\uFEFF \tserver=http://a/b/c//  \r\n\r\nca_file\t=\t/a\r\n", "", "", "http://a/b/c/, file /a"},
		{"comments", "# server = http://a/\n  #server\nserver = http://b/ # ours\nca_file = /a#b\t#c", "", "", "http://b/, file /a#b"},
		{"things of others", "login = nvadmin\nServer = x\nservers = y\nautoreg\n= = =\n\x00\xff\n[server]\n=server\nserver_x = 1", "", "", standard},
		{"a value with =", "ca_file = /a=b", "", "", "http://nventory/, file /a=b"},
		{"a user", "server = http://u:p%40@a", "", "", "http://a/, user u:p%40"},
		{"an address", "server = http://[::1]:8080/nv", "", "", "http://[::1]:8080/nv/"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := inventorytest.TreeOf(t, "first", test.first, "second", test.second)
			inv := New(Options{Server: test.server,
				ConfigFiles: []string{dir + "/first", dir + "/none", dir + "/second", dir + "/first/below", dir + "/none/below"}})
			s, err := inv.settings()
			if err != nil {
				t.Fatal(err)
			}
			if got := showSettings(s); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if want := "nventory " + s.server.String(); inv.Name() != want {
				t.Errorf("the name is %q, want %q", inv.Name(), want)
			}
		})
	}
}

func TestMistakesInConfigurationOfNVentory(t *testing.T) {
	tests := []struct {
		name, text string
		line       int
		problem    string
	}{
		{"no =", "\nserver http://a/", 2, "server: the line must have the form server = VALUE"},
		{"a key alone", "# c\n\nca_path\n", 3, "ca_path: the line must have the form"},
		{"= in the value alone", "ca_file /a=b", 1, "ca_file: the line must have the form"},
		{"no URL", "server = nventory", 1, `server: "nventory" is not a URL like http://HOST/`},
		{"a host with a port", "proxy_server = proxy:3128", 1, `proxy_server: "proxy:3128" is not a URL`},
		{"another scheme", "server = ftp://a/", 1, `server: "ftp://a/" is not`},
		{"no host", "server = http:///nodes", 1, "is not a URL"},
		{"a port alone", "server = http://:80/", 1, "is not a URL"},
		{"two words", "server = http://a b/", 1, "is not a URL"},
		{"an empty query", "server = http://a/?", 1, "is not a URL"},
		{"a fragment", "server = http://a/#b", 1, "is not a URL"},
		{"a query", "server = http://a/?b", 1, "is not a URL"},
		{"a control character", "server = http://a/\x01", 1, `"http://a/\x01" is not a URL`},
		{"a value that a later line replaces", "server = x\nserver = http://a/", 1, "is not a URL"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(inventorytest.TreeOf(t, "nventory.conf", test.text), "nventory.conf")
			inv := New(Options{ConfigFiles: []string{path}})
			_, err := inv.Lookup(t.Context(), "h")
			inventorytest.CheckFault(t, err, path, test.line, test.problem)
			inventorytest.CheckFault(t, inv.Hosts(t.Context(), nil), path, test.line, test.problem)
			if inv.Name() != "nventory" {
				t.Errorf("the name is %q", inv.Name())
			}
		})
	}
}

func TestServerOptionOfNVentoryThatIsNoURL(t *testing.T) {
	_, err := New(Options{Server: "nventory"}).Lookup(t.Context(), "h")
	if err == nil || err.Error() != `nVentory: server: "nventory" is not a URL like http://HOST/ or https://HOST/` {
		t.Errorf("got %v", err)
	}
}

func TestConfigurationOfNVentoryThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, loop} {
		_, err := New(Options{ConfigFiles: []string{path}}).Lookup(t.Context(), "h")
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

// The home directory may be that of another user, whose files are none of ours. A file that is known to be there
// must be read.
func TestConfigurationOfNVentoryThatIsClosedToUs(t *testing.T) {
	dir := inventorytest.TreeOf(t, "nventory.conf", "server = http://a/")
	home := filepath.Join(dir, "home")
	err := errors.Join(os.Chmod(filepath.Join(dir, "nventory.conf"), 0), os.Mkdir(home, 0),
		os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := syscall.Seteuid(65534); err != nil {
			t.Fatal(err)
		}
		defer syscall.Seteuid(0)
	}
	_, err = readSettings(Options{ConfigFiles: []string{home + "/.nventory.conf"}})
	if err != nil {
		t.Errorf("a file in a directory that is closed: %v", err)
	}
	_, err = readSettings(Options{ConfigFiles: []string{dir + "/nventory.conf"}})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), dir+"/nventory.conf") {
		t.Errorf("a file that is closed: got %v", err)
	}
}

func FuzzNVentoryConf(f *testing.F) {
	for _, seed := range []string{
		"", "server = http://a/\nproxy_server = http://p:3128/\nca_file = /a\nca_path = /b\n", "server", "server = ",
		"\uFEFFserver=http://u:p@a # c\r\n", "# c\nserver = x@y\n", "a\nserver b = c", "server = http://[::1]/%zz", "=\x00\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := readSettings(Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.parse("f", text); err != nil {
			fault, ok := errors.AsType[*parse.Fault](err)
			if !ok || fault.File != "f" || fault.Line < 1 || fault.Line > 1+strings.Count(text, "\n") || fault.Problem == "" {
				t.Errorf("not a fault with a line of the file: %#v", err)
			}
			return
		}
		if url := s.url(query("h")); s.server.User != nil || !strings.HasSuffix(s.server.Path, "/") ||
			!strings.HasSuffix(url.String(), "/nodes.xml?exact_name=h&include[node_groups]=") {
			t.Errorf("the server is %q, and asked with %q", s.server, url)
		}
	})
}
