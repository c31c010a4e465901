package migrations

// Tenants is how a run went that applied a set to many tenants.
type Tenants struct {
	Total     int            `json:"total"`
	Succeeded int            `json:"succeeded"` // at least one migration was applied
	Current   int            `json:"current"`
	Ahead     int            `json:"ahead"`
	Failed    int            `json:"failed"`
	Results   []TenantResult `json:"results,omitempty"` // those that failed first, then those that changed, then the others; cut at the end when long
}

// TenantResult is one tenant's part.
type TenantResult struct {
	Tenant  string   `json:"tenant"`
	Outcome Outcome  `json:"outcome"`
	From    Version  `json:"from,omitempty"`
	To      Version  `json:"to,omitempty"`
	Count   int      `json:"count"`
	Failure *Failure `json:"error,omitempty"`
}

// Add counts a result and puts it in its place.
func (t *Tenants) Add(r TenantResult) {
	place := len(t.Results)
	switch r.Outcome {
	case OutcomeFailed:
		place = t.Failed
		t.Failed++
	case OutcomeSucceeded:
		place = t.Failed + t.Succeeded
		t.Succeeded++
	case OutcomeAhead:
		t.Ahead++
	case OutcomeCurrent:
		t.Current++
	}
	t.Results = append(t.Results, TenantResult{})
	copy(t.Results[place+1:], t.Results[place:])
	t.Results[place] = r
}
