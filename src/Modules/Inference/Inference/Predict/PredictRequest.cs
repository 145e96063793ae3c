using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict;

/// <summary>Reads the body of a predict call straight into the model's tensors: no document, no strings, one pass. Whatever the bytes are,
/// the outcome is filled tensors or a refusal that names the place and the mend.</summary>
internal static class PredictRequest
{
    public const int MaxRows = 1000, MaxDepth = 16;

    private const int LongestText = 4096;

    private const int LargestContext = 4096;

    /// <summary>An hour, in milliseconds.</summary>
    private const double LongestTimeout = 3_600_000;

    private static readonly string[] Members = ["inputs", "entities", "options", "context"];
    private static readonly string[] Options = ["interval", "timeoutMs"];

    /// <summary>Fills the work's rows and keys. <paramref name="sent"/> is what the journal keeps of the body.</summary>
    public static Refusal? Read(ReadOnlySpan<byte> body, PredictionWork work, out SentParts sent)
    {
        sent = default;
        body = WithoutMark(body);
        if (NotUtf8(body) is { } unreadable) return unreadable;
        if (work.Plan.Columns is null)
        {
            return Refusal.Invalid("not-tabular", $"The model of endpoint '{work.Plan.Terms.Endpoint}' takes tensors, not named columns.", null,
                $"Send tensors to /v2/models/{work.Plan.Terms.Endpoint}/infer.");
        }
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = MaxDepth });
        var place = new Place();
        try
        {
            var refusal = ReadBody(ref reader, body, work, ref place, out sent);
            // Anything but blanks after the object throws here.
            if (refusal is null) reader.Read();
            return refusal;
        }
        catch (JsonException failure)
        {
            return JsonRefusal.Of(body, reader.BytesConsumed, failure, place.Field(work));
        }
        catch (InvalidOperationException)
        {
            // The one thing the reader finds only when a text is asked for.
            return Refusal.Invalid("bad-text", $"A text at byte {reader.TokenStartIndex + 1} has an escape that is half of a character.", place.Field(work) ?? "body", "Send whole characters (surrogates in pairs).");
        }
    }

    public static ReadOnlySpan<byte> WithoutMark(ReadOnlySpan<byte> body) => body.StartsWith("\uFEFF"u8) ? body[3..] : body;

    public static Refusal? NotUtf8(ReadOnlySpan<byte> body) => Utf8.IsValid(body) ? null : Refusal.Invalid("not-utf8", "The body is not valid UTF-8.", "body", "Encode the JSON as UTF-8.");

    /// <summary>After the features are in: refuses rows that lack a column the model cannot do without, and sets the others to "missing".</summary>
    public static Refusal? Complete(PredictionWork work)
    {
        var columns = work.Plan.Columns!;
        if (work.CellsSet < work.Rows * columns.Count)
        {
            List<FieldError>? errors = null;
            for (var row = 0; row < work.Rows; row++)
            {
                for (var c = 0; c < columns.Count; c++)
                {
                    if (work.IsSet(row, c)) continue;
                    var column = columns.All[c];
                    if (!column.Required) Cells.Missing(work.Tensors.Inputs[column.Input], row);
                    else if ((errors ??= []).Count < 50) errors.Add(Lack(work, row, column));
                }
            }
            if (errors is not null)
            {
                return Refusal.Invalid("missing-column", errors[0].Detail, errors[0].Field, errors[0].Mend) with { Errors = errors };
            }
        }
        foreach (var tensor in work.Tensors.Inputs) tensor.SetShape(work.Rows, 1);
        return null;
    }

    private static Refusal? ReadBody(scoped ref Utf8JsonReader reader, ReadOnlySpan<byte> body, PredictionWork work, scoped ref Place place, out SentParts sent)
    {
        sent = default;
        if (!reader.Read() || reader.TokenType is not JsonTokenType.StartObject)
            return Refusal.Invalid("wrong-type", $"The body is {Name(reader.TokenType)}, not a JSON object.", "body", "Send {\"inputs\": {\"column\": value}}.");
        var (hasInputs, hasEntities, entitiesAreList, hasContext) = (false, false, false, false);
        while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
        {
            Refusal? refusal;
            if (reader.ValueTextEquals("inputs"u8))
            {
                if (hasInputs) return Twice("inputs");
                hasInputs = true;
                reader.Read();
                var start = (int)reader.TokenStartIndex;
                refusal = ReadInputs(ref reader, work, ref place);
                sent.Inputs = body[start..(int)reader.BytesConsumed];
            }
            else if (reader.ValueTextEquals("entities"u8))
            {
                if (hasEntities) return Twice("entities");
                hasEntities = true;
                refusal = ReadEntities(ref reader, work, out entitiesAreList);
            }
            else if (reader.ValueTextEquals("options"u8))
            {
                refusal = ReadOptions(ref reader, work);
            }
            else if (reader.ValueTextEquals("context"u8))
            {
                if (hasContext) return Twice("context");
                hasContext = true;
                refusal = ReadContext(ref reader, body, out sent.Context);
            }
            else
            {
                var name = reader.GetString()!;
                return Refusal.Invalid("unknown-member", $"The body has a member '{name}', which is not known.", name, Nearest.Mend(name, Members));
            }
            if (refusal is not null) return refusal;
        }
        if (!hasInputs && !hasEntities) return Refusal.Invalid("missing-inputs", "The body has no 'inputs'.", "inputs", "Send {\"inputs\": {\"column\": value}}.");
        return MatchEntities(work, hasInputs, hasEntities, entitiesAreList);
    }

    private static Refusal? ReadInputs(ref Utf8JsonReader reader, PredictionWork work, ref Place place)
    {
        if (reader.TokenType is JsonTokenType.StartObject) return ReadRow(ref reader, work, ref place);
        if (reader.TokenType is not JsonTokenType.StartArray)
            return Refusal.Invalid("wrong-type", $"'inputs' is {Name(reader.TokenType)}, not an object or a list of objects.", "inputs", "Send one row as an object, or several as a list of objects.");
        work.IsList = true;
        while (reader.Read() && reader.TokenType is not JsonTokenType.EndArray)
        {
            if (reader.TokenType is not JsonTokenType.StartObject)
                return Refusal.Invalid("wrong-type", $"Row {work.Numbered(work.Rows)} of 'inputs' is {Name(reader.TokenType)}, not an object.", $"inputs[{work.Numbered(work.Rows)}]", "Send each row as {\"column\": value}.");
            if (work.Rows == MaxRows) return TooMany("inputs", MaxRows);
            if (ReadRow(ref reader, work, ref place) is { } refusal) return refusal;
        }
        return work.Rows > 0 ? null : Refusal.Invalid("no-rows", "'inputs' is an empty list.", "inputs", "Send at least one row.");
    }

    private static Refusal? ReadRow(ref Utf8JsonReader reader, PredictionWork work, ref Place place)
    {
        var columns = work.Plan.Columns!;
        var row = work.AddRow();
        var expected = 0;
        while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
        {
            var index = columns.Find(ref reader, expected);
            if (index < 0)
            {
                var name = reader.GetString()!;
                return Refusal.Invalid("unknown-column", $"The model has no column '{Short(name)}'.", Field(work, row, Short(name)), Nearest.Mend(name, [.. columns.All.Select(column => column.Name)]));
            }
            var known = columns.All[index];
            place = new Place(row, known);
            if (work.IsSet(row, index)) return Refusal.Invalid("duplicate-column", $"The column '{known.Name}' is there twice.", Field(work, row, known.Name), "Send each column once.");
            reader.Read();
            if (ReadCell(ref reader, known, work.Tensors.Inputs[known.Input], row) is { } fault)
                return Refusal.Invalid(fault.Code, fault.Detail, Field(work, row, known.Name), fault.Mend);
            work.MarkSet(row, index);
            expected = index + 1;
            place = default;
        }
        return null;
    }

    private static Fault? ReadCell(ref Utf8JsonReader reader, PlanColumn column, Tensor tensor, int row)
    {
        if (reader.TokenType is JsonTokenType.Null)
        {
            if (column.Required)
                return new("null-for-required", $"The column '{column.Name}' is null, and the model has not learnt what missing means there.", "Send a value.");
            Cells.Missing(tensor, row);
            return null;
        }
        return column.Kind switch
        {
            ColumnKind.Category => ReadCategory(ref reader, column, tensor, row),
            ColumnKind.Date => ReadDate(ref reader, column, tensor, row),
            ColumnKind.Boolean => ReadBoolean(ref reader, column, tensor, row),
            ColumnKind.Number => ReadNumber(ref reader, column, tensor, row),
            _ => throw new InvalidOperationException($"Columns of kind {column.Kind} cannot be read."),
        };
    }

    private static Fault? ReadNumber(ref Utf8JsonReader reader, PlanColumn column, Tensor tensor, int row)
    {
        if (reader.TokenType is not JsonTokenType.Number)
        {
            return reader.TokenType is JsonTokenType.String && JsonRefusal.IsNonFinite(reader.ValueSpan)
                ? new("not-finite", $"The column '{column.Name}' is {Encoding.UTF8.GetString(reader.ValueSpan)}, which is not a number.", column.Required ? "Send a number." : "Send a number, or null for a missing value.")
                : WrongType(reader.TokenType, column, "a number", "Send a number, without quotes.");
        }
        // A float straight from the text is rounded once, not twice.
        if (tensor.Layout.Datatype is Datatype.FP32 && reader.TryGetSingle(out var single) && float.IsFinite(single))
        {
            tensor.Set(row, single);
            return null;
        }
        if (tensor.Layout.Datatype is Datatype.Int64 && reader.TryGetInt64(out var whole))
        {
            tensor.Set(row, whole);
            return null;
        }
        if (tensor.Layout.Datatype is not Datatype.FP32 && reader.TryGetDouble(out var number) && Cells.TryNumber(tensor, row, number)) return null;
        return new("number-out-of-range", $"The column '{column.Name}' is {Short(Encoding.UTF8.GetString(reader.ValueSpan))}, which does not fit {tensor.Layout.Datatype.Name()}.", "Send a number the model can hold.");
    }

    private static Fault? ReadBoolean(ref Utf8JsonReader reader, PlanColumn column, Tensor tensor, int row)
    {
        var value = reader.TokenType switch
        {
            JsonTokenType.True => 1,
            JsonTokenType.False => 0,
            JsonTokenType.Number when reader.TryGetDouble(out var number) && number is 0 or 1 => (int)reader.GetDouble(),
            _ => -1,
        };
        if (value >= 0 && Cells.TryNumber(tensor, row, value)) return null;
        return WrongType(reader.TokenType, column, "true or false", "Send true or false.");
    }

    private static Fault? ReadDate(ref Utf8JsonReader reader, PlanColumn column, Tensor tensor, int row)
    {
        const string mend = "Send an ISO 8601 date such as \"2014-10-13\".";
        if (reader.TokenType is not JsonTokenType.String) return WrongType(reader.TokenType, column, "a date", mend);
        if (!reader.ValueIsEscaped && Cells.TryDays(reader.ValueSpan, out var days) && Cells.TryNumber(tensor, row, days)) return null;
        return new("bad-date", $"The column '{column.Name}' is \"{Short(reader.GetString()!)}\", which is not a date.", mend);
    }

    private static Fault? ReadCategory(ref Utf8JsonReader reader, PlanColumn column, Tensor tensor, int row)
    {
        if (reader.ValueSpan.Length > LongestText)
            return new("text-too-long", $"The column '{column.Name}' has {reader.ValueSpan.Length} bytes; {LongestText} are allowed.", "Send a shorter text.");
        switch (reader.TokenType)
        {
            case JsonTokenType.String when !reader.ValueIsEscaped:
                tensor.SetText(row, reader.ValueSpan);
                return null;
            case JsonTokenType.String:
                tensor.TextWritten(row, reader.CopyString(tensor.TextRoom(reader.ValueSpan.Length)));
                return null;
            // A code such as a postcode is often sent as a whole number; its digits are the category.
            case JsonTokenType.Number when reader.ValueSpan.IndexOfAny((byte)'.', (byte)'e', (byte)'E') < 0:
                tensor.SetText(row, reader.ValueSpan);
                return null;
            default:
                return WrongType(reader.TokenType, column, "a text", "Send a text in quotes.");
        }
    }

    private static Refusal? ReadEntities(ref Utf8JsonReader reader, PredictionWork work, out bool isList)
    {
        reader.Read();
        isList = reader.TokenType is JsonTokenType.StartArray;
        if (work.Plan.Terms.Features is null)
            return Refusal.Invalid("no-feature-view", $"The endpoint '{work.Plan.Terms.Endpoint}' has no feature view, so there is nothing to look entities up in.", "entities", "Send the columns in 'inputs', or give the endpoint a feature view.");
        if (!isList) return ReadKey(ref reader, work, "entities");
        while (reader.Read() && reader.TokenType is not JsonTokenType.EndArray)
        {
            if (work.Keys.Count == MaxRows) return TooMany("entities", MaxRows);
            if (ReadKey(ref reader, work, $"entities[{work.Numbered(work.Keys.Count)}]") is { } refusal) return refusal;
        }
        return work.Keys.Count > 0 ? null : Refusal.Invalid("no-rows", "'entities' is an empty list.", "entities", "Send at least one key, or leave 'entities' out.");
    }

    private static Refusal? ReadKey(ref Utf8JsonReader reader, PredictionWork work, string field)
    {
        var isText = reader.TokenType is JsonTokenType.String;
        if (!isText && (reader.TokenType is not JsonTokenType.Number || !reader.TryGetInt64(out _)))
            return Refusal.Invalid("wrong-type", $"'{field}' is {Name(reader.TokenType)}, not a key.", field, "Send a key as a text or a whole number.");
        if (reader.ValueSpan.Length is 0 or > 512)
            return Refusal.Invalid("bad-key", $"'{field}' has {reader.ValueSpan.Length} bytes.", field, "Send a key of 1 to 512 bytes.");
        work.Keys.Add(isText ? reader.GetString()! : Encoding.UTF8.GetString(reader.ValueSpan));
        return null;
    }

    private static Refusal? ReadOptions(ref Utf8JsonReader reader, PredictionWork work)
    {
        reader.Read();
        if (reader.TokenType is JsonTokenType.Null) return null;
        if (reader.TokenType is not JsonTokenType.StartObject)
            return Refusal.Invalid("wrong-type", $"'options' is {Name(reader.TokenType)}, not an object.", "options", "Send {\"interval\": false}, or leave it out.");
        while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("timeoutMs"u8))
            {
                reader.Read();
                if (reader.TokenType is not JsonTokenType.Number || !reader.TryGetDouble(out var milliseconds) || milliseconds is not (> 0 and <= LongestTimeout))
                    return Refusal.Invalid("bad-timeout", "The option 'timeoutMs' is not a number of milliseconds.", "options.timeoutMs", $"Send a number above 0 and up to {LongestTimeout}, or leave it out.");
                work.Timeout = TimeSpan.FromMilliseconds(milliseconds);
                continue;
            }
            if (!reader.ValueTextEquals("interval"u8))
            {
                var name = reader.GetString()!;
                return Refusal.Invalid("unknown-option", $"There is no option '{Short(name)}'.", $"options.{Short(name)}", Nearest.Mend(name, Options));
            }
            reader.Read();
            if (reader.TokenType is not (JsonTokenType.True or JsonTokenType.False))
                return Refusal.Invalid("wrong-type", $"The option 'interval' is {Name(reader.TokenType)}.", "options.interval", "Send true or false.");
            work.WantsInterval = reader.GetBoolean();
        }
        return null;
    }

    private static Refusal? MatchEntities(PredictionWork work, bool hasInputs, bool hasEntities, bool entitiesAreList)
    {
        if (!hasEntities) return null;
        if (!hasInputs)
        {
            work.IsList = entitiesAreList;
            foreach (var _ in work.Keys) work.AddRow();
            return null;
        }
        return work.IsList == entitiesAreList && work.Keys.Count == work.Rows ? null : Unmatched(work.Rows, work.Keys.Count);
    }

    /// <summary>What the caller wants to find the prediction by. It is kept and nothing is computed from it, so it may hold nothing but a few short texts.</summary>
    private static Refusal? ReadContext(scoped ref Utf8JsonReader reader, ReadOnlySpan<byte> body, out ReadOnlySpan<byte> context)
    {
        context = default;
        reader.Read();
        if (reader.TokenType is JsonTokenType.Null) return null;
        if (reader.TokenType is not JsonTokenType.StartObject)
            return Refusal.Invalid("wrong-type", $"'context' is {Name(reader.TokenType)}, not an object of texts.", "context", "Send {\"orderId\": \"4711\"}, or leave it out.");
        var start = (int)reader.TokenStartIndex;
        while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            reader.Read();
            if (reader.TokenType is not JsonTokenType.String)
                return Refusal.Invalid("wrong-type", $"'{Short(name)}' in 'context' is {Name(reader.TokenType)}, not a text.", $"context.{Short(name)}", "Send texts only; put numbers in quotes.");
            // Whether its escapes are whole characters is known only when it is read.
            if (reader.ValueIsEscaped) reader.GetString();
            if (reader.BytesConsumed - start > LargestContext) break;
        }
        if (reader.BytesConsumed - start > LargestContext)
            return Refusal.Invalid("context-too-large", $"'context' is larger than {LargestContext:N0} bytes.", "context", "Send what the prediction is to be found by, such as an order's number; keep the rest where you are.");
        context = body[start..(int)reader.BytesConsumed];
        return null;
    }

    public static Refusal Unmatched(int rows, int keys) => Refusal.Invalid("entities-do-not-match", $"There are {rows} rows in 'inputs' and {keys} keys in 'entities'.", "entities",
        "Send one key for one row, or a list with as many keys as rows, in the same order.");

    private static FieldError Lack(PredictionWork work, int row, PlanColumn column)
    {
        var field = Field(work, row, column.Name);
        if (work.Plan.Terms.Features is not { } features || !features.Names.Contains(column.Name))
            return new(field, $"The column '{column.Name}' is missing, and the model cannot do without it.", $"Send a value for '{column.Name}'.");
        return work.Keys.Count == 0
            ? new(field, $"The column '{column.Name}' is missing.", $"Send it, or send 'entities' to have it looked up in the feature view '{features.View}'.")
            : work.Features.ElementAtOrDefault(row) is null
                ? new(field, $"The feature view '{features.View}' has no entity '{work.Keys[row]}', so the column '{column.Name}' is missing.", "Check the key, or send the column.")
                : new(field, $"The feature view '{features.View}' has no value of '{column.Name}' for the entity '{work.Keys[row]}'.", "Send the column.");
    }

    private static Fault WrongType(JsonTokenType got, PlanColumn column, string wanted, string mend) =>
        new("wrong-type", $"The column '{column.Name}' is {Name(got)}, not {wanted}.", mend);

    private static Refusal Twice(string member) => Refusal.Invalid("duplicate-member", $"'{member}' is there twice.", member, "Send it once.");

    public static Refusal TooMany(string member, int most) => Refusal.Invalid("too-many-rows", $"'{member}' has more than {most} rows.", member,
        $"Send at most {most} rows a call{(most < PredictStream.MaxRows ? $", or up to {PredictStream.MaxRows} with 'Accept: text/event-stream'" : "")}.");

    /// <summary>The place as the caller would write it: <c>grade</c> for a single row, <c>inputs[3].grade</c> in a list.</summary>
    public static string Field(PredictionWork work, int row, string column) => work.IsList ? $"inputs[{work.Numbered(row)}].{column}" : column;

    private static string Short(string text) => text.Length <= 80 ? text : text[..80] + "…";

    private static string Name(JsonTokenType type) => type switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "a list",
        JsonTokenType.String => "a text",
        JsonTokenType.Number => "a number",
        JsonTokenType.True or JsonTokenType.False => "true or false",
        JsonTokenType.Null => "null",
        _ => "nothing",
    };

    /// <summary>The cell being read, if one is.</summary>
    private readonly record struct Place(int Row, PlanColumn? Column)
    {
        public string? Field(PredictionWork work) => Column is null ? null : PredictRequest.Field(work, Row, Column.Name);
    }

    private sealed record Fault(string Code, string Detail, string Mend);
}

/// <summary>What the journal keeps of a body as it was sent.</summary>
internal ref struct SentParts
{
    /// <summary>The rows; empty when there were only entities.</summary>
    public ReadOnlySpan<byte> Inputs;

    /// <summary>What the caller wants to find the prediction by; empty when there is none.</summary>
    public ReadOnlySpan<byte> Context;
}

/// <summary>What is said of a body that is not JSON.</summary>
internal static class JsonRefusal
{
    /// <summary>Names the line and byte; and where the culprit is a bare NaN or Infinity, which JSON does not have, says that.</summary>
    public static Refusal Of(ReadOnlySpan<byte> body, long consumed, JsonException failure, string? field)
    {
        var rest = body[(int)Math.Min(consumed, body.Length)..].TrimStart(" \t\r\n:,["u8);
        foreach (var word in new[] { "NaN", "Infinity", "-Infinity", "-NaN" })
        {
            if (rest.StartsWith(Encoding.ASCII.GetBytes(word)))
                return Refusal.Invalid("not-finite", $"{word} is not a number, and JSON has no such value.", field ?? "body", "Send a number, or null for a missing value.");
        }
        return body.IsEmpty
            ? Refusal.Invalid("malformed-json", "The body is empty.", "body", "Send a JSON object.")
            : Refusal.Invalid("malformed-json", $"The body is not valid JSON at line {failure.LineNumber + 1}, byte {failure.BytePositionInLine + 1}.", field ?? "body",
                "Look for a missing comma, quote or bracket there.");
    }

    public static bool IsNonFinite(ReadOnlySpan<byte> text) =>
        text.SequenceEqual("NaN"u8) || text.SequenceEqual("Infinity"u8) || text.SequenceEqual("-Infinity"u8) || text.SequenceEqual("-NaN"u8) || text.SequenceEqual("nan"u8);
}
