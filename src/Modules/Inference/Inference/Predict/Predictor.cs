using System.Buffers;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Platform.Inference.Predict.Journal;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>The prediction path: admit, read, enrich, run, judge, journal, answer. See the README beside this file for its law.</summary>
internal sealed partial class Predictor(
    ServingTable table, RunGate gate, JournalWriter journal, InferenceOptions options, PredictMetrics metrics, TimeProvider time, ILogger<Predictor> log)
{
    private static readonly Refusal CoresBusy = new(RefusalKind.Unavailable, "queue-full",
        "Too many of the tenant's predictions are waiting for a core.", null, "Send fewer at once, or try again in a second.")
    { RetryAfter = TimeSpan.FromSeconds(1) };

    public ServingTable Table => table;

    /// <summary>Answers a call to the caller's endpoint of this name, in this dialect.</summary>
    public async Task AnswerAsync(HttpContext context, string endpoint, Dialect dialect)
    {
        var caller = context.Features.Get<Caller>()!;
        var found = table.Find(caller.Tenant, endpoint);
        if (found.Refusal is { } unfound)
        {
            metrics.Refused(dialect.Name, unfound.Code);
            await dialect.RefuseAsync(context, unfound);
            return;
        }
        await AnswerAsync(context, caller, found.Value, dialect);
    }

    public async Task AnswerAsync(HttpContext context, Caller caller, ServingPlan plan, Dialect dialect)
    {
        var refusal = Admit(plan, caller);
        if (refusal is not null)
        {
            await RefuseAsync(context, plan, dialect, refusal);
            return;
        }
        var work = Begin(plan);
        try
        {
            refusal = await ReadAsync(context, work, dialect) ?? await PredictAsync(work, caller, dialect, context.RequestAborted);
            if (refusal is not null) await RefuseAsync(context, plan, dialect, refusal);
            else await SendAsync(context.Response, work.Answer.WrittenMemory, context.RequestAborted);
        }
        finally
        {
            End(work);
        }
    }

    /// <summary>Answers a body that did not come over HTTP, for pages: with the same limits, journal and bill.</summary>
    public async Task<Result<byte[]>> AnswerAsync(Caller caller, string endpoint, byte[] body, Dialect dialect, CancellationToken ct)
    {
        var found = table.Find(caller.Tenant, endpoint);
        if (found.Refusal is { } unfound) return unfound;
        var plan = found.Value;
        var refusal = Admit(plan, caller);
        if (refusal is null)
        {
            var work = Begin(plan);
            try
            {
                refusal = Read(null, new ReadOnlySequence<byte>(body), work, dialect) ?? await PredictAsync(work, caller, dialect, ct);
                if (refusal is null) return work.Answer.WrittenSpan.ToArray();
            }
            finally
            {
                End(work);
            }
        }
        Refused(plan, dialect, refusal);
        return refusal;
    }

    private Refusal? Admit(ServingPlan plan, Caller caller) => journal.Closed(plan.Terms.Durable) ?? plan.Admission.Enter(plan.Terms.Limits, caller.KeyId);

    private static PredictionWork Begin(ServingPlan plan)
    {
        var work = plan.Works.Get();
        work.Stages.Begin();
        return work;
    }

    private static void End(PredictionWork work)
    {
        work.Plan.Admission.Leave();
        work.Plan.Works.Return(work);
    }

    private async ValueTask<Refusal?> ReadAsync(HttpContext context, PredictionWork work, Dialect dialect)
    {
        var body = await RequestBody.ReadAsync(context, options.MaxBodyBytes);
        if (body.Refusal is { } unreadable) return unreadable;
        try
        {
            return Read(context.Request.Headers, body.Value, work, dialect);
        }
        finally
        {
            RequestBody.Done(context, body.Value);
        }
    }

    private Refusal? Read(IHeaderDictionary? headers, ReadOnlySequence<byte> body, PredictionWork work, Dialect dialect)
    {
        work.Entry = journal.Rent(work.Plan.Terms.Durable);
        var refusal = body.IsSingleSegment ? dialect.Read(headers, body.FirstSpan, work) : ReadPieces(headers, body, work, dialect);
        if (refusal is not null) GiveUpEntry(work);
        return refusal;
    }

    private static Refusal? ReadPieces(IHeaderDictionary? headers, ReadOnlySequence<byte> body, PredictionWork work, Dialect dialect)
    {
        var whole = ArrayPool<byte>.Shared.Rent((int)body.Length);
        try
        {
            body.CopyTo(whole);
            return dialect.Read(headers, whole.AsSpan(0, (int)body.Length), work);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(whole);
        }
    }

    /// <summary>From filled tensors to a committed answer. The quota is taken before the model runs, and given back for what is refused after that.</summary>
    private async ValueTask<Refusal?> PredictAsync(PredictionWork work, Caller caller, Dialect dialect, CancellationToken ct)
    {
        var handedOver = false;
        try
        {
            work.Stages.Parsed();
            if (await dialect.EnrichAsync(work, ct) is { } incomplete) return incomplete;
            work.Stages.Enriched();
            var plan = work.Plan;
            if (plan.Admission.Take(plan.Terms.Limits, work.Units, out var taken) is { } usedUp) return usedUp;
            var kept = false;
            try
            {
                if ((await RunAsync(work, ct) ?? dialect.Judge(work)) is { } refusal) return refusal;
                var id = Guid.CreateVersion7(time.GetUtcNow());
                var entry = work.Entry!;
                Complete(entry, work, id, caller, dialect);
                if (!journal.TryWrite(entry)) return journal.Closed(plan.Terms.Durable) ?? JournalRefusals.Full;
                work.Entry = null;
                handedOver = true;
                // A buffered entry is the writer's now, and may be another request's already.
                if (plan.Terms.Durable)
                {
                    var outcome = await entry.Outcome;
                    journal.Return(entry);
                    // What may have been written stays taken: it may be billed.
                    kept = outcome is JournalOutcome.Committed or JournalOutcome.Unknown;
                    if (JournalRefusals.Of(outcome, id) is { } unrecorded) return unrecorded;
                }
                kept = true;
                work.Stages.Recorded();
                dialect.Answer(work, id);
                plan.Figures.Answered(work.Units, work.Stages.Total);
                metrics.Answered(dialect.Name, work.Units, work.Stages);
                return null;
            }
            finally
            {
                if (!kept) taken.GiveBack();
            }
        }
        finally
        {
            if (!handedOver) GiveUpEntry(work);
        }
    }

    private async ValueTask<Refusal?> RunAsync(PredictionWork work, CancellationToken ct)
    {
        var (plan, tenant) = (work.Plan, work.Plan.Terms.Tenant);
        var model = await plan.Model.UseAsync(ct);
        if (model.Refusal is { } unloadable) return unloadable;
        try
        {
            if (await gate.EnterAsync(tenant, ct) is not { } seat) return CoresBusy;
            work.Stages.Seated();
            try
            {
                model.Value.Model.Run(work.Tensors, work.Wanted, seat);
            }
            finally
            {
                gate.Exit(seat);
            }
            work.Stages.Ran();
            return null;
        }
        catch (ModelRunException failure)
        {
            return OfRun(failure, plan, ct);
        }
        finally
        {
            model.Value.Release();
        }
    }

    /// <summary>The model's own words go to the log of its tenant's operator; to the caller we say what we know.</summary>
    private Refusal OfRun(ModelRunException failure, ServingPlan plan, CancellationToken ct)
    {
        if (failure.Failure is RunFailure.Abandoned) throw new OperationCanceledException(ct);
        LogRunFailed(log, plan.Terms.Tenant, plan.Terms.Endpoint, plan.Version.Model, plan.Version.Version, failure.Message);
        return failure.Failure is RunFailure.TimedOut
            ? new Refusal(RefusalKind.Unavailable, "run-timeout", $"The model ran longer than {options.LongestRun.TotalSeconds:0.#} seconds and was stopped.", null, "Send fewer rows a call, or have the model's owner make it faster.")
            : Refusal.Invalid("model-failed", $"The model '{plan.Version.Model}' (version {plan.Version.Version}) failed on these inputs.", null,
                "Compare the shapes and values with what the model was made for; its owner can see the reason in the log.");
    }

    private static void Complete(JournalEntry entry, PredictionWork work, Guid id, Caller caller, Dialect dialect)
    {
        var (terms, version, stages) = (work.Plan.Terms, work.Plan.Version, work.Stages);
        entry.Field(terms.Tenant);
        entry.IdAndTime(id);
        entry.Field(terms.Endpoint);
        entry.Field(version.Model);
        entry.Field(version.Version);
        entry.Field(terms.PlanVersion);
        entry.Field(dialect.Name);
        entry.Field(work.Units);
        entry.Field(terms.PriceClass);
        entry.Field(caller.Subject);
        entry.Field(Microseconds(stages.Parse));
        entry.Field(Microseconds(stages.Features));
        entry.Field(Microseconds(stages.Queue));
        entry.Field(Microseconds(stages.Run));
    }

    private static int Microseconds(TimeSpan took) => (int)Math.Min(took.TotalMicroseconds, int.MaxValue);

    private static async Task SendAsync(HttpResponse response, ReadOnlyMemory<byte> answer, CancellationToken ct)
    {
        response.ContentType = "application/json";
        response.ContentLength = answer.Length;
        await response.BodyWriter.WriteAsync(answer, ct);
    }

    private Task RefuseAsync(HttpContext context, ServingPlan plan, Dialect dialect, Refusal refusal)
    {
        Refused(plan, dialect, refusal);
        return dialect.RefuseAsync(context, refusal);
    }

    private void Refused(ServingPlan plan, Dialect dialect, Refusal refusal)
    {
        plan.Figures.Refused(refusal.Code);
        metrics.Refused(dialect.Name, refusal.Code);
    }

    private void GiveUpEntry(PredictionWork work)
    {
        if (work.Entry is not { } entry) return;
        work.Entry = null;
        journal.Return(entry);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Tenant {Tenant}, endpoint {Endpoint}: {Model} version {Version} gave no answer: {Reason}")]
    private static partial void LogRunFailed(ILogger log, string tenant, string endpoint, string model, int version, string reason);
}
