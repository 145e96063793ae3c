using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Net.Mime;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Json;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>Answers one call of many rows as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), some rows at a time. Each part is
/// a prediction like any other: admitted, run, written down, billed and only then sent. So whoever goes away half-way pays for what was answered and for no more.</summary>
internal sealed class PredictStream(Predictor predictor, NamedColumns dialect, InferenceOptions options, IOptions<JsonOptions> json)
{
    public const int MaxRows = 100_000, RowsEach = 250;

    private const string EventStream = "text/event-stream";

    /// <summary>The answer of a call whose answer is kept to be given again cannot also leave bit by bit.</summary>
    private const string IdempotencyKey = "Idempotency-Key";

    /// <summary>What <c>event: done</c> says.</summary>
    /// <param name="Rows">Answered and billed.</param>
    /// <param name="Events">Events of predictions sent before this one.</param>
    /// <param name="TotalMs">From when the body had been read.</param>
    internal sealed record Totals(int Rows, int Events, double TotalMs);

    /// <summary>Whether the client would rather have events than JSON, by the order and the weights of its <c>Accept</c>.</summary>
    public static bool IsAsked(HttpRequest request) =>
        request.Headers.Accept.Count > 0 && MediaTypeHeaderValue.TryParseList(request.Headers.Accept, out var accepted)
        && accepted.Where(one => one.Quality is not 0).OrderByDescending(one => one.Quality ?? 1)
            .FirstOrDefault(one => one.MediaType == EventStream || one.MediaType == MediaTypeNames.Application.Json || one.MatchesAllTypes)?.MediaType == EventStream;

    public async Task AnswerAsync(HttpContext context, string endpoint)
    {
        var caller = context.Features.Get<Caller>()!;
        var found = predictor.Find(caller, endpoint, dialect);
        if (found.Refusal is { } unfound)
        {
            await dialect.RefuseAsync(context, unfound);
            return;
        }
        var plan = found.Value;
        if (predictor.Admit(plan, caller) is { } crowded)
        {
            await predictor.RefuseAsync(context, plan, dialect, crowded);
            return;
        }
        var read = await ReadAsync(context, plan);
        if (read.Refusal is { } unreadable)
        {
            await predictor.RefuseAsync(context, plan, dialect, unreadable);
            return;
        }
        using var rows = read.Value;
        await AnswerAsync(context, caller, plan, rows);
    }

    /// <summary>Part by part, with the one plan. What is refused before anything was sent is refused as any call is; after that, in an event that ends the stream.</summary>
    private async Task AnswerAsync(HttpContext context, Caller caller, ServingPlan plan, StreamedRows rows)
    {
        var (response, ct, began, answered) = (context.Response, context.RequestAborted, Stopwatch.GetTimestamp(), 0);
        for (var part = 0; part < rows.Parts; part++)
        {
            var (first, body) = (answered, rows.Part(part));
            var outcome = part == 0 ? await predictor.AnswerAdmittedAsync(caller, plan, Read, dialect, ct)
                : predictor.Find(caller, plan.Terms.Endpoint, dialect).Refusal is { } gone ? gone
                : await predictor.AnswerAsync(caller, plan, Read, dialect, ct);
            if (outcome.Refusal is { } refusal)
            {
                if (part == 0) await dialect.RefuseAsync(context, refusal);
                else await SendAsync(response, "error"u8, Problem(refusal, answered), ct);
                return;
            }
            var work = outcome.Value;
            try
            {
                if (part == 0) Begin(response);
                answered += work.Units;
                await SendAsync(response, "predictions"u8, work.Answer.WrittenSpan, ct);
            }
            finally
            {
                Predictor.End(work);
            }
            // A remembered answer does not ask whether anybody waits for it.
            ct.ThrowIfCancellationRequested();

            Refusal? Read(PredictionWork begun)
            {
                begun.FirstRow = first;
                return dialect.Read(null, body.Span, begun);
            }
        }
        var totals = new Totals(answered, rows.Parts, Math.Round(Stopwatch.GetElapsedTime(began).TotalMilliseconds, 3));
        await SendAsync(response, "done"u8, JsonSerializer.SerializeToUtf8Bytes(totals, json.Value.SerializerOptions), ct);
    }

    /// <summary>The rows, out of the connection's hands, so that it goes on reading and learns when the client leaves. Whoever is refused or gone has left.</summary>
    private async ValueTask<Result<StreamedRows>> ReadAsync(HttpContext context, ServingPlan plan)
    {
        StreamedRows? rows = null;
        try
        {
            if (context.Request.Headers.ContainsKey(IdempotencyKey))
            {
                return Refusal.Invalid("not-idempotent", "A call that is answered as events cannot be given the same answer again.", IdempotencyKey,
                    "Leave the key out. After a break, send the rows again from the first that was not answered.");
            }
            var body = await RequestBody.ReadAsync(context, options.MaxBodyBytes);
            if (body.Refusal is { } unreadable) return unreadable;
            using (body.Value)
            {
                var split = StreamedRows.Of(body.Value.Bytes);
                if (split.Refusal is { } unsplit) return unsplit;
                return rows = split.Value;
            }
        }
        finally
        {
            if (rows is null) plan.Admission.Leave();
        }
    }

    private static void Begin(HttpResponse response)
    {
        response.ContentType = EventStream;
        response.Headers.CacheControl = "no-store";
        // Proxies that collect answers before they pass them on (nginx) are asked not to.
        response.Headers["X-Accel-Buffering"] = "no";
    }

    /// <summary>On its way when this returns; a client that reads slowly is waited for, and nothing is computed ahead of it.</summary>
    private static ValueTask<FlushResult> SendAsync(HttpResponse response, ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, CancellationToken ct)
    {
        var writer = response.BodyWriter;
        writer.Write("event: "u8);
        writer.Write(name);
        writer.Write("\ndata: "u8);
        writer.Write(data);
        writer.Write("\n\n"u8);
        return writer.FlushAsync(ct);
    }

    private byte[] Problem(Refusal refusal, int answered)
    {
        var problem = Problems.Details(refusal);
        problem.Extensions["answeredRows"] = answered;
        return JsonSerializer.SerializeToUtf8Bytes(problem, json.Value.SerializerOptions);
    }
}

/// <summary>The body of a call, cut into parts of so many rows, each a whole body as <see cref="PredictRequest"/> reads it: what stands beside the rows is in every one.
/// Here it is only seen to that it is JSON and where its rows are; what is wrong with them is found where they are read.</summary>
internal sealed class StreamedRows : IDisposable
{
    /// <summary>What stands beside the rows is read again with every part, so there may not be much of it.</summary>
    private const int LargestRest = 32 << 10;

    private readonly byte[] buffer;
    private readonly int length;
    private readonly List<RowList> lists = [];
    private readonly ArrayBufferWriter<byte> part = new(4096);

    private StreamedRows(ReadOnlySequence<byte> body)
    {
        length = (int)body.Length;
        buffer = ArrayPool<byte>.Shared.Rent(length);
        body.CopyTo(buffer);
    }

    /// <summary>At least one: what has no list of rows is a call of one part.</summary>
    public int Parts => Math.Max(1, lists.Select(list => list.Parts.Count).DefaultIfEmpty().Max());

    private ReadOnlySpan<byte> Body => PredictRequest.WithoutMark(buffer.AsSpan(0, length));

    public static Result<StreamedRows> Of(ReadOnlySequence<byte> body)
    {
        var rows = new StreamedRows(body);
        if (rows.Find() is not { } refusal) return rows;
        rows.Dispose();
        return refusal;
    }

    /// <summary>The body with these rows alone; good until the next is asked for.</summary>
    public ReadOnlyMemory<byte> Part(int index)
    {
        part.ResetWrittenCount();
        var body = Body;
        var at = 0;
        foreach (var list in lists)
        {
            part.Write(body[at..list.Start]);
            if (index < list.Parts.Count) part.Write(body[list.Parts[index]]);
            at = list.End;
        }
        part.Write(body[at..]);
        return part.WrittenMemory;
    }

    public void Dispose() => ArrayPool<byte>.Shared.Return(buffer);

    private Refusal? Find()
    {
        var body = Body;
        if (PredictRequest.NotUtf8(body) is { } unreadable) return unreadable;
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = PredictRequest.MaxDepth });
        try
        {
            if (!reader.Read() || reader.TokenType is not JsonTokenType.StartObject) return null;
            while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
            {
                var name = reader.ValueTextEquals("inputs"u8) ? "inputs" : reader.ValueTextEquals("entities"u8) ? "entities" : null;
                reader.Read();
                // A member that is there twice stays as it is, and is refused when it is read.
                if (name is null || reader.TokenType is not JsonTokenType.StartArray || lists.Exists(list => list.Name == name)) reader.Skip();
                else if (Find(ref reader, name) is { } refusal) return refusal;
            }
            // Anything but blanks after the object throws here.
            reader.Read();
        }
        catch (JsonException failure)
        {
            return JsonRefusal.Of(body, reader.BytesConsumed, failure, null);
        }
        if (lists is [var one, var other] && one.Rows != other.Rows)
            return one.Name is "inputs" ? PredictRequest.Unmatched(one.Rows, other.Rows) : PredictRequest.Unmatched(other.Rows, one.Rows);
        var rest = length - lists.Sum(list => list.End - list.Start);
        return Parts == 1 || rest <= LargestRest ? null
            : new Refusal(RefusalKind.TooLarge, "too-much-beside-rows", $"There are {rest:N0} bytes beside the rows; {LargestRest:N0} are allowed.", "body", "Send 'options' and 'context' short and without blanks between.");
    }

    private Refusal? Find(ref Utf8JsonReader reader, string name)
    {
        var list = new RowList(name, (int)reader.BytesConsumed);
        while (reader.Read() && reader.TokenType is not JsonTokenType.EndArray)
        {
            if (list.Rows == PredictStream.MaxRows) return PredictRequest.TooMany(name, PredictStream.MaxRows);
            var start = (int)reader.TokenStartIndex;
            reader.Skip();
            list.Add(start, (int)reader.BytesConsumed);
        }
        list.End = (int)reader.TokenStartIndex;
        lists.Add(list);
        return null;
    }

    /// <summary>A list in the body.</summary>
    /// <param name="start">Behind its opening bracket.</param>
    private sealed class RowList(string name, int start)
    {
        public string Name { get; } = name;

        public int Start { get; } = start;

        /// <summary>Where its closing bracket is.</summary>
        public int End { get; set; }

        public int Rows { get; private set; }

        /// <summary>From the first row of each part to the end of its last.</summary>
        public List<Range> Parts { get; } = [];

        public void Add(int start, int end)
        {
            if (Rows++ % PredictStream.RowsEach == 0) Parts.Add(start..end);
            else Parts[^1] = Parts[^1].Start..end;
        }
    }
}
