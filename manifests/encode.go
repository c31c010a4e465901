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
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	root, err := decode(d)
	if err != nil {
		return nil, err
	}
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

// decode reads one value, leaving out members that are null.
func decode(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		var o object
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			value, err := decode(d)
			if err != nil {
				return nil, err
			}
			if value != nil {
				o = append(o, member{key.(string), value})
			}
		}
		_, err := d.Token()
		return o, err
	case json.Delim('['):
		var a []any
		for d.More() {
			value, err := decode(d)
			if err != nil {
				return nil, err
			}
			a = append(a, value)
		}
		_, err := d.Token()
		return a, err
	}
	if t == nil {
		return nil, nil
	}
	return t, nil
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
