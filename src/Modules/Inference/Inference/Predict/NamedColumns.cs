using System.Buffers;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Platform.Features.Contracts;
using Platform.Inference.Predict.Journal;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>The platform's own dialect: rows of named columns in, predictions with intervals out.</summary>
internal sealed class NamedColumns(IOnlineFeatures online) : Dialect
{
    public override string Name => "predict";

    public override Refusal? Read(IHeaderDictionary? headers, ReadOnlySpan<byte> body, PredictionWork work)
    {
        if (PredictRequest.Read(body, work, out var sent) is { } refusal) return refusal;
        if (work.Plan.PredictionOutput.Length == 0)
            return Refusal.Invalid("no-prediction-output", $"The model '{work.Plan.Version.Model}' has several outputs and none of them is named as the prediction.", null, $"Send tensors to /v2/models/{work.Plan.Terms.Endpoint}/infer.");
        WriteInputs(work.Entry!, !sent.Inputs.IsEmpty ? sent.Inputs : work.IsList ? "[]"u8 : "{}"u8, sent.Context);
        (work.Units, work.Wanted) = (work.Rows, work.Plan.PredictionOutput);
        return null;
    }

    public override ValueTask<Refusal?> EnrichAsync(PredictionWork work, CancellationToken ct)
    {
        if (work.Keys.Count > 0) return LookUpAsync(work, ct);
        work.Entry!.Null();
        return new(PredictRequest.Complete(work));
    }

    public override Refusal? Judge(PredictionWork work)
    {
        var output = work.Tensors.Outputs[work.Wanted[0]];
        var each = output.Count / work.Rows;
        if (each == 0 || output.Count % work.Rows != 0)
            return Refusal.Invalid("model-failed", $"The model gave {output.Count} values for {work.Rows} rows.", null, "Send the rows one by one, or have the model's owner look at its output's shape.");
        for (var i = 0; i < output.Count; i++)
        {
            if (output.Layout.Datatype.IsFloat() && !double.IsFinite(TensorJson.Number(output, i)))
                return work.NoNumber(i / each);
        }
        var (entry, json) = (work.Entry!, work.Json);
        var mark = entry.Open();
        json.Reset(entry);
        json.WriteStartArray();
        for (var row = 0; row < work.Rows; row++) WritePrediction(json, output, row * each, each);
        json.WriteEndArray();
        json.Flush();
        entry.Close(mark);
        if (!HasInterval(work, output))
        {
            entry.Null();
            return null;
        }
        mark = entry.Open();
        json.Reset(entry);
        json.WriteStartArray();
        for (var row = 0; row < work.Rows; row++) WriteInterval(json, work, output, row);
        json.WriteEndArray();
        json.Flush();
        entry.Close(mark);
        return null;
    }

    public override void Answer(PredictionWork work, Guid id)
    {
        var (plan, json, output) = (work.Plan, work.Json, work.Tensors.Outputs[work.Wanted[0]]);
        var each = output.Count / work.Rows;
        json.Reset(work.Answer);
        json.WriteStartObject();
        if (work.FirstRow is { } first) json.WriteNumber("firstRow"u8, first);
        json.WriteString("id"u8, id);
        json.WriteString("endpoint"u8, plan.Terms.Endpoint);
        json.WriteString("model"u8, plan.Version.Model);
        json.WriteNumber("modelVersion"u8, plan.Version.Version);
        json.WriteNumber("planVersion"u8, plan.Terms.PlanVersion);
        // Whoever reads a stream reads lists, however few rows there were.
        if (work.IsList || work.FirstRow is not null)
        {
            json.WriteStartArray("predictions"u8);
            for (var row = 0; row < work.Rows; row++)
            {
                json.WriteStartObject();
                WriteRow(json, work, output, row, each);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        else
        {
            WriteRow(json, work, output, 0, each);
        }
        WriteTimings(json, work.Stages, work.Keys.Count > 0);
        json.WriteEndObject();
        json.Flush();
    }

    public override Task RefuseAsync(HttpContext context, Refusal refusal) => Problems.WriteAsync(context, refusal);

    /// <summary>The rows as they were sent; and where there is a context, both as members of an object. A column's value is never an object,
    /// so who reads the journal can tell that from a row (<see cref="Predictions.JournalReader"/>).</summary>
    private static void WriteInputs(JournalEntry entry, ReadOnlySpan<byte> rows, ReadOnlySpan<byte> context)
    {
        if (context.IsEmpty)
        {
            entry.Field(rows);
            return;
        }
        var mark = entry.Open();
        entry.Write("{\"rows\":"u8);
        entry.Write(rows);
        entry.Write(",\"context\":"u8);
        entry.Write(context);
        entry.Write("}"u8);
        entry.Close(mark);
    }

    private async ValueTask<Refusal?> LookUpAsync(PredictionWork work, CancellationToken ct)
    {
        var features = work.Plan.Terms.Features!;
        try
        {
            work.Features = await online.ReadAsync(work.Plan.Terms.Tenant, features.View, work.Keys, ct);
        }
        catch (KeyNotFoundException)
        {
            return Refusal.Conflict("feature-view-gone", $"The feature view '{features.View}' of this endpoint is no longer there.", "entities", "Send the columns in 'inputs', or give the endpoint another feature view.");
        }
        return Merge(work, features) ?? PredictRequest.Complete(work);
    }

    /// <summary>The request's columns win; what the view adds is written down, so that the prediction can be explained and made again.</summary>
    private static Refusal? Merge(PredictionWork work, FeatureEnrichment features)
    {
        var (columns, json, entry) = (work.Plan.Columns!, work.Json, work.Entry!);
        var mark = entry.Open();
        json.Reset(entry);
        json.WriteStartObject();
        json.WriteString("view"u8, features.View);
        json.WriteStartArray("keys"u8);
        foreach (var key in work.Keys) json.WriteStringValue(key);
        json.WriteEndArray();
        json.WriteStartArray("values"u8);
        for (var row = 0; row < work.Rows; row++)
        {
            json.WriteStartObject();
            for (var c = 0; work.Features[row] is { } found && c < columns.Count; c++)
            {
                var column = columns.All[c];
                if (work.IsSet(row, c) || !found.TryGetValue(column.Name, out var value) || value is null) continue;
                if (!Cells.TryFeature(work.Tensors.Inputs[column.Input], row, column.Kind, value))
                {
                    return Refusal.Invalid("feature-wrong-type", $"The feature view '{features.View}' has {Kind(value)} for '{column.Name}', which the model takes as a {column.Kind.ToString().ToLowerInvariant()}.",
                        PredictRequest.Field(work, row, column.Name), "Send the column in 'inputs', or mend the feature view.");
                }
                work.MarkSet(row, c);
                WriteFeature(json, column.Name, value);
            }
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
        json.Flush();
        entry.Close(mark);
        return null;
    }

    private static string Kind(object value) => value switch
    {
        double => "a number",
        bool => "true or false",
        DateOnly => "a date",
        _ => "a text",
    };

    private static void WriteFeature(Utf8JsonWriter json, string name, object value)
    {
        switch (value)
        {
            case double number: json.WriteNumber(name, number); break;
            case bool flag: json.WriteBoolean(name, flag); break;
            case DateOnly date: json.WriteString(name, date.ToString("yyyy-MM-dd")); break;
            default: json.WriteString(name, value.ToString()); break;
        }
    }

    /// <summary>Intervals are for single numbers; a class or a vector has none.</summary>
    private static bool HasInterval(PredictionWork work, Tensor output) =>
        work.WantsInterval && work.Plan.Version.Calibration is not null && output.Count == work.Rows && output.Layout.Datatype.IsFloat();

    private static void WriteRow(Utf8JsonWriter json, PredictionWork work, Tensor output, int row, int each)
    {
        json.WritePropertyName("prediction"u8);
        WritePrediction(json, output, row * each, each);
        if (HasInterval(work, output))
        {
            json.WritePropertyName("interval"u8);
            WriteInterval(json, work, output, row);
        }
        if (work.Ruled is not { } ruled) return;
        json.WritePropertyName("rules"u8);
        ruled.Write(json, row, TensorJson.Number(output, row));
    }

    private static void WritePrediction(Utf8JsonWriter json, Tensor output, int start, int count)
    {
        if (count > 1) json.WriteStartArray();
        TensorJson.Write(json, output, start, count);
        if (count > 1) json.WriteEndArray();
    }

    private static void WriteInterval(Utf8JsonWriter json, PredictionWork work, Tensor output, int row)
    {
        var table = work.Plan.Version.Calibration!;
        var (lower, upper) = work.Ruled is { } ruled ? ruled.BoundsOf(row) : Intervals.Around(table, TensorJson.Number(output, row));
        json.WriteStartObject();
        json.WriteNumber("lower"u8, lower);
        json.WriteNumber("upper"u8, upper);
        json.WriteNumber("level"u8, table.Level);
        json.WriteEndObject();
    }

    private static void WriteTimings(Utf8JsonWriter json, Stages stages, bool enriched)
    {
        json.WriteStartObject("timings"u8);
        Write("parse"u8, stages.Parse);
        if (enriched) Write("features"u8, stages.Features);
        Write("queue"u8, stages.Queue);
        Write("run"u8, stages.Run);
        Write("journal"u8, stages.Journal);
        Write("total"u8, stages.Total);
        json.WriteEndObject();

        void Write(ReadOnlySpan<byte> name, TimeSpan took) => json.WriteNumber(name, Math.Round(took.TotalMilliseconds, 3));
    }
}
