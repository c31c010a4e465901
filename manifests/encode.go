package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// YAML returns the object as a document that people can read and compare: see the function YAML.
func (o Object) YAML() ([]byte, error) {
	b, err := YAML(o.Value)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.Value.GetName(), err)
	}
	return b, nil
}

// YAML returns what encoding/json makes of v, an object or a list, as a document that people can read and compare:
// apiVersion and kind first, then the fields in the order of their type; no status, no nulls; text of several lines as a literal
// block. The same value gives the same bytes with every version of every library, which is why it is written here.
func YAML(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	root := (&parser{b}).value()
	var w yamlWriter
	if list, ok := root.([]any); ok {
		w.items(list, 0)
	} else {
		w.members(topLevel(root.(object)), 0, "")
	}
	return w.Bytes(), nil
}

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	key   string
	value any // object, []any, string, json.Number, bool
}

// parser reads what encoding/json wrote, which is valid and has no space between its parts.
type parser struct{ rest []byte }

// value reads one value, leaving out members that are null.
func (p *parser) value() any {
	switch p.rest[0] {
	case '{':
		var o object
		p.parts('}', func() {
			key := p.text()
			p.rest = p.rest[len(":"):]
			if value := p.value(); value != nil {
				o = append(o, member{key, value})
			}
		})
		return o
	case '[':
		var a []any
		p.parts(']', func() { a = append(a, p.value()) })
		return a
	case '"':
		return p.text()
	}
	end := bytes.IndexAny(p.rest, ",]}")
	word := string(p.rest[:end])
	p.rest = p.rest[end:]
	switch word {
	case "null":
		return nil
	case "true", "false":
		return word == "true"
	}
	return json.Number(word)
}

// parts reads what is between brackets, each part by read.
func (p *parser) parts(end byte, read func()) {
	for p.rest = p.rest[1:]; p.rest[0] != end; {
		read()
		if p.rest[0] == ',' {
			p.rest = p.rest[1:]
		}
	}
	p.rest = p.rest[1:]
}

// text reads a string.
func (p *parser) text() string {
	end, escapes := 1, false
	for ; p.rest[end] != '"'; end++ {
		if p.rest[end] == '\\' {
			escapes = true
			end++
		}
	}
	quoted := p.rest[:end+1]
	p.rest = p.rest[end+1:]
	if !escapes {
		return string(quoted[1:end])
	}
	var s string
	_ = json.Unmarshal(quoted, &s)
	return s
}

// topLevel puts apiVersion before kind and drops the status.
func topLevel(o object) object {
	var first, rest object
	for _, m := range o {
		switch m.key {
		case "status":
		case "apiVersion":
			first = append(object{m}, first...)
		case "kind":
			first = append(first, m)
		default:
			rest = append(rest, m)
		}
	}
	return append(first, rest...)
}
