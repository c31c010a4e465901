package manifests

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

func (v *validator) source(m SchemaMigration) {
	s := m.Source
	var named []string
	for _, n := range []struct {
		kind  string
		given bool
	}{{kindDirectory, s.Directory != ""}, {kindImage, s.Image != nil}, {kindTool, s.Tool != nil}} {
		if n.given {
			named = append(named, n.kind)
		}
	}
	switch {
	case len(named) == 0:
		v.add("spec.source", "does not say where the migrations are",
			"set one of directory (SQL files of this repository), image (SQL files in an image) and tool (a tool of your own)")
		return
	case len(named) > 1:
		v.add("spec.source", "has "+strings.Join(named, " and "), "keep exactly one of directory, image and tool")
		return
	}
	if s.Layout != "" && s.Directory == "" {
		v.add("spec.source.layout", "belongs to a directory", "leave it out; that of an image's files is spec.source.image.layout")
	}
	if s.Image != nil {
		v.imageSource(*s.Image)
	}
	if s.Tool != nil {
		v.tool(m, *s.Tool)
	}
}

func (v *validator) imageSource(i ImageSource) {
	v.image("spec.source.image.name", i.Name)
	if i.Path == "" {
		v.add("spec.source.image.path", "is missing", "name the directory in the image that holds the SQL files, as in /migrations")
		return
	}
	v.absolute("spec.source.image.path", i.Path)
}

func (v *validator) tool(m SchemaMigration, t ToolSource) {
	const field = "spec.source.tool"
	v.image(field+".image", t.Image)
	if len(t.Command) == 0 || t.Command[0] == "" {
		v.add(field+".command", "is missing", "name the program and its arguments, as in [php, artisan, migrate, --force]")
	}
	for i, arg := range t.Command {
		if passwordIn(arg) {
			v.add(fmt.Sprintf("%s.command[%d]", field, i), "a password in plain text", "let the tool read it from a variable of spec.database")
		}
	}
	if t.WorkingDir != "" {
		v.absolute(field+".workingDir", t.WorkingDir)
	}
	v.history(t)
	if m.Target != "" {
		v.add("spec.target", "a tool goes as far as its own command says", "leave it out, and name the version in spec.source.tool.command")
	}
	if m.Tenants != nil {
		v.add("spec.tenants", "a tool finds its tenants itself", "leave it out, and see what spec.source.tool.command takes for that")
	}
	if m.Policy.OutOfOrder != "" {
		v.add("spec.policy.outOfOrder", "a tool orders its migrations itself", "leave it out")
	}
}

// tableName is a table as in SQL, with its schema or without.
var tableName = regexp.MustCompile(`^(?:[A-Za-z_][A-Za-z0-9_$]*|"[^"]+")(?:\.(?:[A-Za-z_][A-Za-z0-9_$]*|"[^"]+"))?$`)

func (v *validator) history(t ToolSource) {
	const field = "spec.source.tool"
	switch custom := t.History == HistoryCustom; {
	case t.History == "":
		v.add(field+".history", "is missing", "name the tool whose history table tells the schema's version: one of "+strings.Join(histories, ", "))
	case !slices.Contains(histories, t.History):
		v.add(field+".history", fmt.Sprintf("%q is not known", t.History),
			"use one of "+strings.Join(histories, ", ")+"; custom takes a historyQuery of your own")
	case custom && t.HistoryQuery == "":
		v.add(field+".historyQuery", "is missing", "write the SQL that selects the schema's version, as in SELECT max(version) FROM history")
	case !custom && t.HistoryQuery != "":
		v.add(field+".historyQuery", "belongs to history: custom", "leave it out, or set history: custom")
	case custom && t.HistoryTable != "":
		v.add(field+".historyTable", "is not read with history: custom", "leave it out: historyQuery names the table")
	case t.HistoryTable != "" && !tableName.MatchString(t.HistoryTable):
		v.add(field+".historyTable", fmt.Sprintf("%q is not the name of a table", t.HistoryTable), `write it as in SQL: app.migrations, or app."Migrations"`)
	}
}

func (v *validator) image(field, image string) {
	switch {
	case image == "":
		v.add(field, "is missing", "name the image, as in registry.example.com/app:1.4.2")
	case !IsImage(image):
		v.add(field, fmt.Sprintf("%q is not the name of an image", image), "write it as in registry.example.com/app:1.4.2, in lower case")
	}
}

func (v *validator) absolute(field, p string) {
	if !path.IsAbs(p) || path.Clean(p) != p {
		v.add(field, fmt.Sprintf("%q is not the absolute path of a directory", p), "write it from the root of the image, as in /app, without a slash at its end")
	}
}
