package parse

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// EachElement visits the elements called element below the root element, which must be called root,
// with their attribute "name" and the texts of their children called member, in the file's order. Other
// elements are ignored, as etch does. Texts are taken with their white space, as etch does; empty ones are
// left out. All errors are Faults, if those of visit are.
func EachElement(file, text, root, element, member string,
	visit func(name string, members []string, line int) error) error {
	r := newXMLReader(file, text)
	if err := r.openRoot(root); err != nil {
		return err
	}
	var members []string
	err := r.children(func(start xml.StartElement) error {
		if start.Name != (xml.Name{Local: element}) {
			return r.skip()
		}
		line := r.Line()
		name, err := r.nameAttribute(start)
		if err != nil {
			return err
		}
		if members, err = r.texts(members[:0], member); err != nil {
			return err
		}
		return visit(name, members, line)
	})
	if err != nil {
		return err
	}
	return r.closeDocument()
}

// XMLReader reads one XML document. Entities other than the five that XML itself defines are
// errors, so there is nothing that could expand.
type XMLReader struct {
	File    string
	Decoder *xml.Decoder
}

func newXMLReader(file, text string) *XMLReader {
	decoder := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(text, "\uFEFF")))
	decoder.CharsetReader = charsetReader
	return &XMLReader{File: file, Decoder: decoder}
}

// charsetReader converts the encodings that need no table to UTF-8.
func charsetReader(charset string, input io.Reader) (io.Reader, error) {
	switch strings.ToLower(charset) {
	case "iso-8859-1", "latin1", "us-ascii":
	default:
		return nil, fmt.Errorf("encoding %q is not supported: use UTF-8 or ISO-8859-1", charset)
	}
	content, err := io.ReadAll(input)
	if err != nil {
		return nil, err
	}
	var utf8 strings.Builder
	for _, c := range content {
		utf8.WriteRune(rune(c))
	}
	return strings.NewReader(utf8.String()), nil
}

// openRoot reads up to the start of the root element.
func (r *XMLReader) openRoot(root string) error {
	for {
		token, err := r.Decoder.Token()
		if errors.Is(err, io.EOF) {
			return r.Faultf("there is no element <%s>", root)
		}
		if err != nil {
			return r.Fault(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			if start.Name != (xml.Name{Local: root}) {
				return r.Faultf("the outermost element is <%s>, not <%s>", start.Name.Local, root)
			}
			return nil
		}
		if err := r.OnlySpace(token); err != nil {
			return err
		}
	}
}

// closeDocument reads what follows the root element.
func (r *XMLReader) closeDocument() error {
	for {
		token, err := r.Decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return r.Fault(err)
		}
		if _, ok := token.(xml.StartElement); ok {
			return r.Faultf("there is a second outermost element")
		}
		if err := r.OnlySpace(token); err != nil {
			return err
		}
	}
}

// OnlySpace fails if token is text, which may not stand outside the root element.
func (r *XMLReader) OnlySpace(token xml.Token) error {
	if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
		return r.Faultf("there is text outside the outermost element")
	}
	return nil
}

// children calls visit for each child of the element that was opened last, and reads its end. Visit must
// read up to the end of the child.
func (r *XMLReader) children(visit func(xml.StartElement) error) error {
	for {
		token, err := r.Decoder.Token()
		if err != nil {
			return r.Fault(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if err := visit(token); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

// texts appends the text of each child called member of the element that was opened last.
func (r *XMLReader) texts(list []string, member string) ([]string, error) {
	err := r.children(func(start xml.StartElement) error {
		if start.Name != (xml.Name{Local: member}) {
			return r.skip()
		}
		text, err := r.text()
		if text != "" {
			list = append(list, text)
		}
		return err
	})
	return list, err
}

// text returns the text of the element that was opened last, without that of its children.
func (r *XMLReader) text() (string, error) {
	var text strings.Builder
	for {
		token, err := r.Decoder.Token()
		if err != nil {
			return "", r.Fault(err)
		}
		switch token := token.(type) {
		case xml.CharData:
			text.Write(token)
		case xml.StartElement:
			if err := r.skip(); err != nil {
				return "", err
			}
		case xml.EndElement:
			return text.String(), nil
		}
	}
}

// nameAttribute returns the attribute "name" of an element. It must be there, once, and not be empty.
func (r *XMLReader) nameAttribute(start xml.StartElement) (string, error) {
	name, count := "", 0
	for _, attribute := range start.Attr {
		if attribute.Name == (xml.Name{Local: "name"}) {
			name = attribute.Value
			count++
		}
	}
	if count != 1 || name == "" {
		return "", r.Faultf("element <%s> needs one attribute \"name\" that is not empty", start.Name.Local)
	}
	return name, nil
}

// skip reads up to the end of the element that was opened last.
func (r *XMLReader) skip() error {
	if err := r.Decoder.Skip(); err != nil {
		return r.Fault(err)
	}
	return nil
}

// Line is the line that has been read last, counted from 1.
func (r *XMLReader) Line() int {
	line, _ := r.Decoder.InputPos()
	return line
}

// Faultf makes a Fault in the line that the reader is in.
func (r *XMLReader) Faultf(format string, args ...any) *Fault {
	return Faultf(r.File, r.Line(), format, args...)
}

// Fault turns an error of the XML library into a Fault.
func (r *XMLReader) Fault(err error) *Fault {
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		return Faultf(r.File, syntax.Line, "%s", syntax.Msg)
	}
	return r.Faultf("%s", strings.TrimPrefix(err.Error(), "xml: "))
}
