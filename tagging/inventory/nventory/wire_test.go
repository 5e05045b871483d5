package nventory

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/inventory/inventorytest"
)

// recorder is a server that answers each connection with the same text and keeps what it was sent.
type recorder struct {
	addr     string
	requests chan string
}

func startRecorder(t *testing.T, body string) recorder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	r := recorder{listener.Addr().String(), make(chan string, 10)}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			var request strings.Builder
			for b := make([]byte, 1); !strings.HasSuffix(request.String(), "\r\n\r\n"); {
				if _, err := conn.Read(b); err != nil {
					break
				}
				request.Write(b)
			}
			r.requests <- request.String()
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			conn.Close()
		}
	}()
	return r
}

func TestRequestsToNVentoryByteByByte(t *testing.T) {
	const headers = "User-Agent: etchtag\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
	const withUser = "User-Agent: etchtag\r\nAuthorization: Basic dTpwIHc=\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
	lookup := func(host string) func(*Inventory) error {
		return func(n *Inventory) error {
			_, err := n.Lookup(context.Background(), host)
			return err
		}
	}
	list := func(n *Inventory) error {
		return n.Hosts(context.Background(), func(string, inventory.Answer) bool { return true })
	}
	tests := []struct {
		name, before, path string
		ask                func(*Inventory) error
		target, headers    string
	}{
		{"a host", "", "", lookup("web1.example.com"), "/nodes.xml?exact_name=web1.example.com&include[node_groups]=", headers},
		{"a server with a slash", "", "/", lookup("h"), "/nodes.xml?exact_name=h&include[node_groups]=", headers},
		{"a server with a path", "", "/nv", lookup("h"), "/nv/nodes.xml?exact_name=h&include[node_groups]=", headers},
		{"a server with a path and a slash", "", "/nv/a%20b/", lookup("h"), "/nv/a%20b/nodes.xml?exact_name=h&include[node_groups]=", headers},
		{"a host to escape", "", "", lookup("a&b=c d/é"), "/nodes.xml?exact_name=a%26b%3Dc+d%2F%C3%A9&include[node_groups]=", headers},
		{"all hosts", "", "", list, "/nodes.xml?include[node_groups]=", headers},
		{"a password", "u:p%20w@", "", lookup("h"), "/nodes.xml?exact_name=h&include[node_groups]=", withUser},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := startRecorder(t, nodes())
			if err := test.ask(askingPatiently("http://" + test.before + r.addr + test.path)); err != nil {
				t.Fatal(err)
			}
			want := "GET " + test.target + " HTTP/1.1\r\nHost: " + r.addr + "\r\n" + test.headers
			if got := <-r.requests; got != want {
				t.Errorf("got\n%q, want\n%q", got, want)
			}
			if len(r.requests) > 0 {
				t.Errorf("there was a second request: %q", <-r.requests)
			}
		})
	}
}

// redirecting starts a server that sends those who ask for it to where, with the question added.
func redirecting(t *testing.T, status int, where string) string {
	return startWeb(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("Location", where+"/nodes.xml?"+request.URL.RawQuery)
		w.WriteHeader(status)
	}))
}

func TestRedirectsOfNVentory(t *testing.T) {
	for status, followed := range map[int]bool{301: true, 302: false, 303: false, 307: true, 308: true} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			good := startWeb(t, fakeNVentory{inventorytest.Fleet{Hosts: []inventorytest.Host{{Name: "h", Pin: "trunk"}}}})
			inv := askingPatiently(redirecting(t, status, good))
			if !followed {
				checkRefused(t, inv, fmt.Sprintf(`sends us to "%s/nodes.xml": only 301, 307 and 308`, good))
			} else if a := lookup(t, inv, "h"); a.Pin != "trunk" || strings.Contains(a.PinFrom, good) {
				t.Errorf("got %+v", a)
			}
		})
	}
}

func TestRedirectsOfNVentoryThatAreNotFollowed(t *testing.T) {
	for where, problem := range map[string]string{
		"ftp://127.0.0.1":    `"ftp://127.0.0.1/nodes.xml": that is not http any more`,
		"file://":            `"file:///nodes.xml": that is not http any more`,
		"http://u:s3cr3t@h:": `"http://h:/nodes.xml": only 301`,
	} {
		status := http.StatusMovedPermanently
		if strings.Contains(problem, "only 301") {
			status = http.StatusFound
		}
		checkRefused(t, askingPatiently(redirecting(t, status, where)), problem)
	}
}

func TestCircleOfRedirectsOfNVentory(t *testing.T) {
	for length, problem := range map[int]string{5: "", 6: "one redirect more than the 5"} {
		asked := 0
		inv := askingPatiently(startWeb(t, http.HandlerFunc(
			func(w http.ResponseWriter, request *http.Request) {
				if asked++; asked > length {
					fakeNVentory{}.ServeHTTP(w, request)
					return
				}
				http.Redirect(w, request, request.URL.String(), http.StatusMovedPermanently)
			})))
		if problem != "" {
			checkRefused(t, inv, problem)
		} else if a := lookup(t, inv, "h"); a.Known {
			t.Errorf("got %+v", a)
		}
	}
}

// startTLS starts a fake server with TLS, and returns its URL and a file with its certificate.
func startTLS(t *testing.T, handler http.Handler) (server, certificate string) {
	t.Helper()
	web := httptest.NewUnstartedServer(handler)
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail
	web.StartTLS()
	t.Cleanup(web.Close)
	certificate = filepath.Join(t.TempDir(), "server.pem")
	block := pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}
	inventorytest.WriteFile(t, certificate, string(pem.EncodeToMemory(&block)))
	return web.URL, certificate
}

// configured returns the inventory that a configuration file describes.
func configured(t *testing.T, text string) *Inventory {
	path := filepath.Join(t.TempDir(), "nventory.conf")
	inventorytest.WriteFile(t, path, text)
	return New(Options{ConfigFiles: []string{path}, Timeout: patience})
}

func TestCertificatesOfNVentory(t *testing.T) {
	server, certificate := startTLS(t, fakeNVentory{inventorytest.Fleet{Hosts: []inventorytest.Host{{Name: "h"}}}})
	server += "/"
	wrongName := strings.Replace(server, "127.0.0.1", "localhost", 1)
	upgrade := redirecting(t, http.StatusMovedPermanently, strings.TrimSuffix(server, "/"))
	dir := filepath.Dir(certificate)
	inventorytest.WriteFile(t, filepath.Join(dir, "README"), "none\n")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "old"), 0o755), os.Symlink("gone", filepath.Join(dir, "0.0"))); err != nil {
		t.Fatal(err)
	}
	empty, none := t.TempDir(), filepath.Join(dir, "none")
	tests := []struct{ name, server, settings, problem string }{
		{"an unknown certificate", server, "", "unknown authority"},
		{"a known one", server, "ca_file = " + certificate, ""},
		{"one of a directory", server, "ca_path = " + dir, ""},
		{"one of both", server, "ca_file = " + certificate + "\nca_path = " + dir, ""},
		{"another name", wrongName, "ca_file = " + certificate, "not localhost"},
		{"from http to https", upgrade, "ca_file = " + certificate, ""},
		{"from http to an unknown certificate", upgrade, "", "unknown authority"},
		{"no file", server, "ca_file = " + none, "ca_file: open " + none},
		{"a file without certificates", server, "ca_file = " + dir + "/README", "ca_file: there is no certificate in " + dir + "/README"},
		{"no directory", server, "ca_path = " + none, "ca_path: open " + none},
		{"an empty directory", server, "ca_path = " + empty, "ca_path: there is no certificate that can be read in " + empty},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inv := configured(t, "server = "+test.server+"\n"+test.settings+"\n")
			if test.problem != "" {
				checkRefused(t, inv, test.problem)
			} else if a := lookup(t, inv, "h"); !a.Known {
				t.Errorf("got %+v", a)
			}
		})
	}
}

func TestRedirectOfNVentoryToAWeakerSchemeIsNotFollowed(t *testing.T) {
	asked := false
	weak := startWeb(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	server, certificate := startTLS(t, http.RedirectHandler(weak, http.StatusMovedPermanently))
	checkRefused(t, configured(t, "server = "+server+"\nca_file = "+certificate), `"`+weak+`": that is not https any more`)
	if asked {
		t.Error("the weaker server was asked")
	}
}

func TestCertificatesAreNotReadForPlainHTTP(t *testing.T) {
	server := startWeb(t, fakeNVentory{inventorytest.Fleet{Hosts: []inventorytest.Host{{Name: "h"}}}})
	if a := lookup(t, configured(t, "server = "+server+"\nca_file = /none\nca_path = /none"), "h"); !a.Known {
		t.Errorf("got %+v", a)
	}
}

func TestNVentoryThatHangs(t *testing.T) {
	hang := func(before string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			if before != "" {
				io.WriteString(w, before)
				w.(http.Flusher).Flush()
			}
			<-request.Context().Done()
		})
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // which nobody accepts from
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for name, server := range map[string]string{
		"before the answer":     startWeb(t, hang("")),
		"in the answer":         startWeb(t, hang("<nodes>")),
		"after the node":        startWeb(t, hang("<nodes>"+node(nodeName, noGroups))),
		"after a redirect":      redirecting(t, http.StatusMovedPermanently, startWeb(t, hang(""))),
		"without accepting":     "http://" + silent.Addr().String(),
		"in the TLS connection": "https://" + silent.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			inv := New(Options{Server: server, Timeout: 30 * time.Millisecond})
			checkRefused(t, inv, "no complete answer within 30ms")
			if _, err := inv.Lookup(t.Context(), "h"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, which is not the end of the deadline", err)
			}
			inv.timeout = time.Millisecond
			if err := inv.Hosts(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "no complete answer within 60ms") {
				t.Errorf("listing: got %v", err)
			}
		})
	}
}

func TestQuestionToNVentoryIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	inv := askingPatiently(startWeb(t, http.HandlerFunc(
		func(w http.ResponseWriter, request *http.Request) {
			io.WriteString(w, "<nodes>")
			w.(http.Flusher).Flush()
			cancel()
			<-request.Context().Done()
		})))
	if _, err := inv.Lookup(ctx, "h"); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "within") {
		t.Errorf("got %v", err)
	}
}

func TestNVentoryThatIsDown(t *testing.T) {
	web := httptest.NewServer(nil)
	web.Close()
	checkRefused(t, askingPatiently(web.URL), "connection refused")
}

func TestAnswerOfNVentoryThatBreaksOff(t *testing.T) {
	inv := askingPatiently(startWeb(t, http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			body := nodes(node(nodeName, noGroups))
			w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
			io.WriteString(w, body)
		})))
	checkRefused(t, inv, "read the answer: unexpected EOF")
}

func TestProxyOfNVentory(t *testing.T) {
	r := startRecorder(t, nodes(node(nodeName, noGroups)))
	inv := configured(t, "server = http://nventory.invalid/nv\nproxy_server = http://u:p@"+r.addr+"/\n")
	if a := lookup(t, inv, "h"); !a.Known {
		t.Errorf("got %+v", a)
	}
	checkProxied(t, <-r.requests)
}

// checkProxied fails the test unless a proxy was sent the right request.
func checkProxied(t *testing.T, request string) {
	t.Helper()
	const line = "GET http://nventory.invalid/nv/nodes.xml?exact_name=h&include[node_groups]= HTTP/1.1\r\nHost: nventory.invalid\r\n"
	if !strings.HasPrefix(request, line) || !strings.Contains(request, "\r\nProxy-Authorization: Basic dTpw\r\n") {
		t.Errorf("the proxy was sent\n%s", request)
	}
}

// The environment's proxies are read once in a process, so this test asks in another one.
func TestProxyOfTheEnvironmentForNVentory(t *testing.T) {
	const child = "NVENTORY_TEST_CHILD"
	if os.Getenv(child) != "" {
		lookup(t, askingPatiently("http://nventory.invalid/nv"), "h")
		return
	}
	r := startRecorder(t, nodes(node(nodeName, noGroups)))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), child+"=1", "HTTP_PROXY=http://u:p@"+r.addr, "NO_PROXY=", "no_proxy=", "REQUEST_METHOD=")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	checkProxied(t, <-r.requests)
}

func TestPasswordsForNVentoryAreInNoMessage(t *testing.T) {
	refused := "127.0.0.1:1"
	good := strings.TrimPrefix(startWeb(t, fakeNVentory{inventorytest.Fleet{Hosts: []inventorytest.Host{{Name: "h", Pin: "x"}}}}), "http://")
	away := strings.TrimPrefix(redirecting(t, http.StatusFound, "http://u:s3cr3t@"+good), "http://")
	for _, settings := range []string{
		"server = http://u:s3cr3t@" + refused, "server = http://s3cr3t@" + refused, "server = https://u:s3cr3t@" + good,
		"server = http://u:s3cr3t@" + good + "/missing/", "server = http://u:s3cr3t@" + away,
		"server = http://u:s3cr3t@ho st/", "server = http://u:s3/cr3t@h:x/", "server = http://u:s3cr3t%zz@h/",
		"server = ftp://u:s3cr3t@h/", "server = u:s3cr3t@h", "server = http://u:s3cr3t@h/?x@y", "server http://u:s3cr3t@h/",
		"server = http://h/\nproxy_server = http://u:s3cr3t@" + refused, "proxy_server = http://u:s3cr3t@h:x/",
		"server = https://h/\nproxy_server = http://u:s3cr3t@" + good,
	} {
		inv := configured(t, settings)
		_, err := inv.Lookup(t.Context(), "h")
		if err == nil {
			t.Errorf("%s: there is no error", settings)
			continue
		}
		if text := err.Error() + inv.Name(); strings.Contains(text, "s3") || strings.Contains(text, "cr3t") {
			t.Errorf("%s: got %s", settings, text)
		}
	}
	a := lookup(t, configured(t, "server = http://u:s3cr3t@"+good), "h")
	if want := "config_mgmt_tag in nVentory http://" + good + "/"; a.PinFrom != want {
		t.Errorf("the pin is from %q, want %q", a.PinFrom, want)
	}
}

func TestPasswordForNVentoryGoesToItsServerAlone(t *testing.T) {
	var got []string
	keep := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			user, _, _ := request.BasicAuth()
			got = append(got, user)
			next.ServeHTTP(w, request)
		})
	}
	other := startWeb(t, keep(fakeNVentory{}))
	var server string
	server = startWeb(t, keep(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		to := server
		if request.URL.Path == "/a/nodes.xml" {
			to = other
		}
		http.Redirect(w, request, to+strings.Replace(request.URL.String(), "/b/", "/a/", 1), http.StatusPermanentRedirect)
	})))
	inv := askingPatiently(strings.Replace(server, "http://", "http://etch:pw@", 1) + "/b")
	_, err := inv.Lookup(t.Context(), "h")
	if want := []string{"etch", "etch", ""}; err == nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("users %q were sent, want %q; error %v", got, want, err)
	}
}
