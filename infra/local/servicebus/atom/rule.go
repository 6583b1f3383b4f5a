package atom

import (
	"encoding/xml"
	"net/http"
	"strings"

	"throughline/infra/local/servicebus/broker"
)

func (q *question) listRules(w http.ResponseWriter) error {
	if q.r.Method != http.MethodGet {
		return &refusal{http.StatusMethodNotAllowed, "The method is not allowed."}
	}
	if err := q.subscriptionRight("EnumerateRules"); err != nil {
		return err
	}
	v, err := q.h.Broker.Look(q.path())
	if err != nil {
		return err
	}
	from, to := q.page(len(v.Rules))
	f := q.feed("Rules")
	for _, r := range v.Rules[from:to] {
		f.Entries = append(f.Entries, q.ruleEntry(r))
	}
	return q.write(w, http.StatusOK, f)
}

func (q *question) oneRule(w http.ResponseWriter) error {
	operation := map[string]string{http.MethodGet: "GetRule", http.MethodPut: "CreateOrUpdateRule", http.MethodDelete: "DeleteRule"}[q.r.Method]
	if operation == "" {
		return &refusal{http.StatusMethodNotAllowed, "The method is not allowed."}
	}
	if err := q.subscriptionRight(operation); err != nil {
		return err
	}
	switch q.r.Method {
	case http.MethodPut:
		return q.putRule(w)
	case http.MethodDelete:
		return q.h.Broker.DeleteRule(q.path(), q.rule)
	}
	v, err := q.h.Broker.Look(q.path())
	if err != nil {
		return err
	}
	for _, r := range v.Rules {
		if strings.EqualFold(r.Name, q.rule) {
			return q.write(w, http.StatusOK, q.ruleEntry(r))
		}
	}
	return &refusal{http.StatusNotFound, "SubCode=40400. The rule could not be found."}
}

func (q *question) putRule(w http.ResponseWriter) error {
	var in inner
	if err := q.read(&in); err != nil {
		return err
	}
	if in.Content.Rule == nil {
		return &refusal{http.StatusBadRequest, "SubCode=40000. The entry does not describe a rule."}
	}
	r := in.Content.Rule.rule(q.rule)
	r.Name = q.rule
	status, replace := http.StatusCreated, q.r.Header.Get("If-Match") != ""
	if replace {
		status = http.StatusOK
	}
	r, err := q.h.Broker.AddRule(q.path(), r, replace)
	if err != nil {
		return err
	}
	return q.write(w, status, q.ruleEntry(r))
}

// rule is the broker's form of a rule; name is its name when the description has none.
func (d *ruleDescription) rule(name string) broker.Rule {
	r := broker.DefaultRule()
	if r.Name = d.Name; r.Name == "" {
		r.Name = name
	}
	if d.Filter != nil {
		r.Filter = d.Filter.filter()
	}
	if d.Action != nil {
		r.Action = d.Action.action()
	}
	return r
}

func (x *ruleXML) filter() broker.Filter {
	f := broker.Filter{Type: x.Type, Expression: x.SQLExpression}
	switch x.Type {
	case broker.TrueFilter, broker.FalseFilter:
	case broker.SQLFilter:
		f.Parameters = parameters(x.Parameters)
	case broker.CorrelationFilter:
		f.Properties = parameters(x.Properties)
		f.Correlation = map[string]string{}
		for _, c := range x.correlations() {
			if *c.value != nil {
				f.Correlation[c.name] = **c.value
			}
		}
	default:
		f.XML = x.whole("Filter")
	}
	return f
}

func (x *ruleXML) action() broker.Action {
	switch x.Type {
	case "", "EmptyRuleAction":
		return broker.Action{}
	case broker.SQLAction:
		return broker.Action{Type: x.Type, Expression: x.SQLExpression, Parameters: parameters(x.Parameters)}
	}
	return broker.Action{Type: x.Type, XML: x.whole("Action")}
}

type correlation struct {
	name  string
	value **string
}

// correlations are the system properties of a CorrelationFilter, in the order of the schema.
func (x *ruleXML) correlations() []correlation {
	return []correlation{{"CorrelationId", &x.CorrelationID}, {"MessageId", &x.MessageID}, {"To", &x.To}, {"ReplyTo", &x.ReplyTo},
		{"Label", &x.Label}, {"SessionId", &x.SessionID}, {"ReplyToSessionId", &x.ReplyToSessionID}, {"ContentType", &x.ContentType}}
}

// whole is the element again, of a type that nobody here knows.
func (x *ruleXML) whole(name string) string {
	var b strings.Builder
	b.WriteString("<" + name + ` i:type="` + attribute(x.Type) + `"`)
	for _, a := range x.Attrs {
		switch {
		case a.Name.Space == "xmlns" && a.Name.Local != "i":
			b.WriteString(" xmlns:" + a.Name.Local + `="` + attribute(a.Value) + `"`)
		case a.Name.Space == "" && a.Name.Local != "xmlns":
			b.WriteString(" " + a.Name.Local + `="` + attribute(a.Value) + `"`)
		}
	}
	b.WriteString(">" + x.Inner + "</" + name + ">")
	return b.String()
}

func attribute(s string) string {
	return strings.ReplaceAll(escape(s), `"`, "&quot;")
}

func parameters(in []keyValue) []broker.Parameter {
	var out []broker.Parameter
	for _, p := range in {
		kind := p.Value.Type
		if _, after, ok := strings.Cut(kind, ":"); ok {
			kind = after
		}
		out = append(out, broker.Parameter{Name: p.Key, Type: kind, Text: p.Value.Text})
	}
	return out
}

func (q *question) ruleEntry(r broker.Rule) *entry {
	e := q.wrap(r.Name, q.base+"/"+q.path()+"/Rules/"+r.Name+"?api-version=2024-05", r.Created, r.Created)
	e.Content.Rule = &ruleAnswer{XMLName: xml.Name{Local: "RuleDescription"}, XMLNS: serviceNS, XMLNSI: instanceNS,
		Inner: filterXML(r.Filter) + actionXML(r.Action) + element("CreatedAt", stamp(r.Created)) + element("Name", r.Name)}
	return e
}

func element(name, text string) string { return "<" + name + ">" + escape(text) + "</" + name + ">" }

func filterXML(f broker.Filter) string {
	if f.XML != "" {
		return f.XML
	}
	open := `<Filter i:type="` + f.Type + `">`
	if f.Type == broker.CorrelationFilter {
		inner := ""
		for _, c := range (&ruleXML{}).correlations() {
			if v, ok := f.Correlation[c.name]; ok {
				inner += element(c.name, v)
			}
		}
		return open + inner + keyValues("Properties", f.Properties) + "</Filter>"
	}
	return open + element("SqlExpression", f.Expression) + element("CompatibilityLevel", "20") + keyValues("Parameters", f.Parameters) + "</Filter>"
}

func actionXML(a broker.Action) string {
	switch {
	case a.XML != "":
		return a.XML
	case a.Type == "":
		return `<Action i:type="EmptyRuleAction"/>`
	}
	return `<Action i:type="SqlRuleAction">` + element("SqlExpression", a.Expression) + element("CompatibilityLevel", "20") +
		keyValues("Parameters", a.Parameters) + "</Action>"
}

func keyValues(name string, list []broker.Parameter) string {
	var b strings.Builder
	b.WriteString("<" + name + ">")
	for _, p := range list {
		b.WriteString("<KeyValueOfstringanyType>" + element("Key", p.Name) + `<Value i:type="d6p1:` + attribute(p.Type) + `" xmlns:d6p1="` + schemaNS + `">` +
			escape(p.Text) + "</Value></KeyValueOfstringanyType>")
	}
	b.WriteString("</" + name + ">")
	return b.String()
}
