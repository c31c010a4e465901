package manifests

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/schemawave/schemawave/migrations"
)

// Source says where the migrations are: in exactly one of Directory, Image and Tool.
type Source struct {
	Directory string       // SQL files of the repository: relative to the overlay, with slashes
	Layout    string       // the layout of the files in Directory; empty: detected
	Image     *ImageSource // SQL files inside an image
	Tool      *ToolSource  // a tool of the team's own, in its image
}

// ImageSource is an image that holds SQL files. Nothing of it is run.
type ImageSource struct {
	Name   string `json:"name"`             // as in a Pod; the overlay's images apply
	Path   string `json:"path"`             // of the directory in the image, absolute
	Layout string `json:"layout,omitempty"` // of its files; empty: detected
}

// ToolSource is a command that brings the database up to date by itself.
type ToolSource struct {
	Image        string   `json:"image"`                  // as in a Pod; the overlay's images apply
	Command      []string `json:"command"`                // with its arguments; $(NAME) is expanded as in any container
	WorkingDir   string   `json:"workingDir,omitempty"`   // absolute; empty: the image's own
	History      string   `json:"history"`                // whose history table tells the version, one of Histories
	HistoryQuery string   `json:"historyQuery,omitempty"` // selects the version, where History is "custom"
	HistoryTable string   `json:"historyTable,omitempty"` // where the tool was told to keep its history; empty: where it does by default
}

// Source kinds, as they stand in the names of objects; see ObjectName.
const (
	kindDirectory = "directory"
	kindImage     = "image"
	kindTool      = "tool"
)

// kind says which of the three is set.
func (s Source) kind() string {
	switch {
	case s.Image != nil:
		return kindImage
	case s.Tool != nil:
		return kindTool
	}
	return kindDirectory
}

// ImageName returns the image that holds the migrations, as it is declared; empty for a directory.
func (s Source) ImageName() string {
	switch {
	case s.Image != nil:
		return s.Image.Name
	case s.Tool != nil:
		return s.Tool.Image
	}
	return ""
}

// ImageField names the field that ImageName is the value of.
func (s Source) ImageField() string {
	if s.Tool != nil {
		return "spec.source.tool.image"
	}
	return "spec.source.image.name"
}

// digest identifies what a Job of an image or a tool runs: the image as the overlay makes it, and what is done with it. The
// files themselves are not seen here, so an image whose tag moves keeps the digest that it had.
func (s Source) digest(image string, target migrations.Version) (string, error) {
	what := struct {
		Image  *ImageSource       `json:"image,omitempty"`
		Tool   *ToolSource        `json:"tool,omitempty"`
		Target migrations.Version `json:"target,omitempty"`
	}{Target: target}
	if s.Image != nil {
		i := *s.Image
		i.Name, what.Image = image, &i
	} else {
		t := *s.Tool
		t.Image, what.Tool = image, &t
	}
	b, err := json.Marshal(what)
	if err != nil {
		return "", fmt.Errorf("digest of the source: %w", err)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// HistoryCustom is the kind of history that a query of the team's own tells.
const HistoryCustom = "custom"

// Histories are the tools whose history tables the runner reads, and HistoryCustom.
func Histories() []string {
	return slices.Clone(histories)
}

var histories = []string{
	"laravel", "rails", "django", "alembic", "flyway", "liquibase", "golang-migrate", "goose", "dbmate", "tern", "sql-migrate",
	"prisma", "knex", "sequelize", "typeorm", "ecto", "sqitch", HistoryCustom,
}
