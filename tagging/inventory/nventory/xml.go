package nventory

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/etch/etchtag/tagging/inventory/parse"
)

// maxDepth is how deep elements may be nested. A group's name, the deepest that counts, is the fifth.
const maxDepth = 32

// answerNode is what an answer says of one node. It is good until the next one is read.
type answerNode struct {
	host   string // the name in lower case
	groups []string
	pin    string // empty if there is none
	line   int    // where it begins
}

// eachNode visits the nodes of an answer, in its order:
//
//	<nodes type="array">
//	  <node>
//	    <config_mgmt_tag nil="true"></config_mgmt_tag>
//	    <name>web1.example.com</name>
//	    <node_groups type="array"><node_group><name>web</name></node_group></node_groups>
//	  </node>
//	</nodes>
//
// Other elements of nodes and groups are ignored. If there are no nodes, the root may also be
// <nil_classes type="array"/>. Neither type declarations nor entities are taken, nor encodings other than
// UTF-8. A mistake is a Fault in the file "answer".
func eachNode(body io.Reader, limits limits, visit func(*answerNode) error) error {
	m := &meter{r: body, limits: limits}
	decoder := xml.NewDecoder(bufio.NewReaderSize(m, 1<<16))
	decoder.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, errors.New("only UTF-8 is expected")
	}
	r := &reader{XMLReader: parse.XMLReader{File: "answer", Decoder: decoder}, meter: m}
	root, err := r.open()
	if err != nil {
		return err
	}
	err = r.children(root, func(start xml.StartElement) error {
		if root == "nil_classes" {
			return r.unexpected(start, root)
		}
		if err := r.readNode(start); err != nil {
			return err
		}
		return visit(&r.node)
	})
	if err != nil {
		return err
	}
	return r.close()
}

// reader reads one answer. It is stricter than parse.XMLReader: what it reads comes from a server that
// may not be what it is taken for.
type reader struct {
	parse.XMLReader
	meter *meter
	depth int
	node  answerNode
	buf   []byte // for reuse
}

// next returns the next tag or text, or io.EOF.
func (r *reader) next() (xml.Token, error) {
	for {
		token, err := r.Decoder.Token()
		if r.meter.err != nil {
			return nil, r.meter.err
		}
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, r.Fault(err)
		}
		switch token.(type) {
		case xml.Directive:
			return nil, r.Faultf("there is a declaration <!...>, as in web pages")
		case xml.StartElement:
			if r.depth++; r.depth > maxDepth {
				return nil, r.Faultf("elements are nested more than %d deep", maxDepth)
			}
			return token, nil
		case xml.EndElement:
			r.depth--
			return token, nil
		case xml.CharData:
			return token, nil
		}
	}
}

// open reads up to the start of the root element and returns its name.
func (r *reader) open() (string, error) {
	start, found, err := r.outermost()
	switch {
	case err != nil:
		return "", err
	case !found:
		return "", r.Faultf("there is no element <nodes>")
	case start.Name.Space != "", start.Name.Local != "nodes" && start.Name.Local != "nil_classes":
		return "", r.Faultf("the outermost element is <%s>, not <nodes> or <nil_classes>", start.Name.Local)
	}
	return start.Name.Local, nil
}

// close reads what follows the root element.
func (r *reader) close() error {
	_, found, err := r.outermost()
	if err == nil && found {
		err = r.Faultf("there is a second outermost element")
	}
	return err
}

// outermost reads up to the start of an outermost element, if there is another one.
func (r *reader) outermost() (start xml.StartElement, found bool, err error) {
	for {
		token, err := r.next()
		if err == io.EOF {
			return start, false, nil
		}
		if err != nil {
			return start, false, err
		}
		if start, ok := token.(xml.StartElement); ok {
			return start, true, nil
		}
		if err := r.OnlySpace(token); err != nil {
			return start, false, err
		}
	}
}

// children calls visit for each child of the element parent, which was opened last, and reads its end. There
// may be no text between them. Visit must read up to the end of the child.
func (r *reader) children(parent string, visit func(xml.StartElement) error) error {
	for {
		token, err := r.next()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if err := visit(token); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		case xml.CharData:
			if strings.TrimSpace(string(token)) != "" {
				return r.Faultf("there is text in <%s>", parent)
			}
		}
	}
}

// readNode reads a child of <nodes>.
func (r *reader) readNode(start xml.StartElement) error {
	if start.Name != (xml.Name{Local: "node"}) {
		return r.unexpected(start, "nodes")
	}
	r.meter.refill()
	r.node = answerNode{groups: r.node.groups[:0], line: r.Line()}
	seen := make(map[string]bool, 3)
	err := r.children("node", func(start xml.StartElement) error {
		name := start.Name.Local
		switch {
		case start.Name.Space != "", name != "name" && name != "config_mgmt_tag" && name != "node_groups":
			return r.skip()
		case seen[name]:
			return r.Faultf("the node has <%s> twice", name)
		}
		seen[name] = true
		return r.readNodeChild(start)
	})
	if err != nil {
		return err
	}
	if !seen["name"] || !seen["node_groups"] {
		return r.Faultf("the node of line %d has no <name> or no <node_groups>", r.node.line)
	}
	return nil
}

// readNodeChild reads one of the three children of a node that mean something.
func (r *reader) readNodeChild(start xml.StartElement) error {
	switch start.Name.Local {
	case "node_groups":
		return r.children("node_groups", r.readGroup)
	case "name":
		name, err := r.name(start)
		if err != nil {
			return err
		}
		r.node.host, err = parse.HostName(r.File, r.Line(), name)
		return err
	}
	pin, err := r.leaf(start)
	if err != nil {
		return err
	}
	if strings.ContainsFunc(pin, unicode.IsControl) {
		return r.Faultf("the config_mgmt_tag %q has a control character in it", pin)
	}
	r.node.pin = pin
	return nil
}

// readGroup reads a child of <node_groups>.
func (r *reader) readGroup(start xml.StartElement) error {
	if start.Name != (xml.Name{Local: "node_group"}) {
		return r.unexpected(start, "node_groups")
	}
	line, group := r.Line(), ""
	err := r.children("node_group", func(start xml.StartElement) error {
		if start.Name != (xml.Name{Local: "name"}) {
			return r.skip()
		}
		if group != "" {
			return r.Faultf("the node group has <name> twice")
		}
		var err error
		group, err = r.name(start)
		return err
	})
	if err != nil {
		return err
	}
	if group == "" {
		return r.Faultf("the node group of line %d has no <name>", line)
	}
	r.node.groups = append(r.node.groups, group)
	return nil
}

// name returns the text of an element that must have some.
func (r *reader) name(start xml.StartElement) (string, error) {
	name, err := r.leaf(start)
	if err == nil && name == "" {
		err = r.Faultf("there is an empty <%s>", start.Name.Local)
	}
	return name, err
}

// leaf returns the text of the element start, which was opened last, without white space around it. It is
// empty if an attribute says that the element is nil. There may be no elements in it.
func (r *reader) leaf(start xml.StartElement) (string, error) {
	r.buf = r.buf[:0]
	for {
		token, err := r.next()
		if err != nil {
			return "", err
		}
		switch token := token.(type) {
		case xml.CharData:
			r.buf = append(r.buf, token...)
		case xml.StartElement:
			return "", r.unexpected(token, start.Name.Local)
		case xml.EndElement:
			if slices.Contains(start.Attr, xml.Attr{Name: xml.Name{Local: "nil"}, Value: "true"}) {
				return "", nil
			}
			return strings.TrimSpace(string(r.buf)), nil
		}
	}
}

// skip reads up to the end of the element that was opened last.
func (r *reader) skip() error {
	for outside := r.depth - 1; r.depth > outside; {
		if _, err := r.next(); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) unexpected(start xml.StartElement, parent string) error {
	return r.Faultf("there is an element <%s> in <%s>", start.Name.Local, parent)
}

// meter reads no more than the limits allow.
type meter struct {
	r      io.Reader
	limits limits
	total  int64
	node   int64 // since refill
	err    error // why there is no more, other than the end
}

// refill is told that another node begins.
func (m *meter) refill() { m.node = 0 }

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	if m.total > m.limits.answer || m.node > m.limits.node {
		m.err = fmt.Errorf("the answer is too large: more than %d MiB, or %d MiB from one node to the next",
			m.limits.answer>>20, m.limits.node>>20)
		return 0, m.err
	}
	n, err := m.r.Read(p)
	m.total += int64(n)
	m.node += int64(n)
	if err != nil && err != io.EOF {
		m.err = fmt.Errorf("read the answer: %w", err)
		err = m.err
	}
	return n, err
}
