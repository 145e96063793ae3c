using System.Buffers;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Http;
using Platform.Inference.Predict.Admission;
using Platform.Inference.Predict.Journal;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>The prediction path: admit, read, enrich, run, rules, judge, journal, answer. See the README beside this file for its law.</summary>
internal sealed class Predictor(ServingTable table, RunStep run, JournalWriter journal, InferenceOptions options, PredictMetrics metrics, TimeProvider time)
{
    /// <summary>The code of the refusal of what was not answered in the caller's time.</summary>
    public const string DeadlineExceeded = "deadline-exceeded";

    public ServingTable Table => table;

    /// <summary>Answers a call to the caller's endpoint of this name, in this dialect.</summary>
    public Task AnswerAsync(HttpContext context, string endpoint, Dialect dialect)
    {
        var caller = context.Features.Get<Caller>()!;
        var found = Find(caller, endpoint, dialect);
        return found.Refusal is { } unfound ? dialect.RefuseAsync(context, unfound) : AnswerAsync(context, caller, found.Value, dialect);
    }

    /// <summary>The plan of the caller's endpoint of this name; a refusal is counted.</summary>
    public Result<ServingPlan> Find(Caller caller, string endpoint, Dialect dialect)
    {
        var found = table.Find(caller.Tenant, endpoint);
        if (found.Refusal is { } unfound) metrics.Refused(dialect.Name, unfound.Code);
        return found;
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
            else await dialect.SendAsync(context, work);
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
        var answered = await AnswerAsync(caller, found.Value, work => dialect.Read(null, body, work), dialect, ct);
        if (answered.Refusal is { } refusal) return refusal;
        var answer = answered.Value.Answer.WrittenSpan.ToArray();
        End(answered.Value);
        return answer;
    }

    /// <summary>Answers a request that <paramref name="read"/> takes from wherever it is. The answered work is the caller's until it gives it to <see cref="End"/>.</summary>
    public async Task<Result<PredictionWork>> AnswerAsync(Caller caller, ServingPlan plan, Func<PredictionWork, Refusal?> read, Dialect dialect, CancellationToken ct)
    {
        if (Admit(plan, caller) is not { } refusal) return await AnswerAdmittedAsync(caller, plan, read, dialect, ct);
        Refused(plan, dialect, refusal);
        return refusal;
    }

    /// <summary>The same, for a request that <see cref="Admit"/> has let in. If it is refused, it has left.</summary>
    public async Task<Result<PredictionWork>> AnswerAdmittedAsync(Caller caller, ServingPlan plan, Func<PredictionWork, Refusal?> read, Dialect dialect, CancellationToken ct)
    {
        Refusal? refusal;
        var work = Begin(plan);
        try
        {
            work.Entry = journal.Rent(plan.Terms.Durable);
            refusal = read(work);
            if (refusal is not null) GiveUpEntry(work);
            else refusal = await PredictAsync(work, caller, dialect, ct);
        }
        catch
        {
            End(work);
            throw;
        }
        if (refusal is null) return work;
        End(work);
        Refused(plan, dialect, refusal);
        return refusal;
    }

    /// <summary>Lets a request in before anything of it is read, or says why not. Who is let in must leave (<see cref="Admission.TenantAdmission.Leave"/>).</summary>
    public Refusal? Admit(ServingPlan plan, Caller caller) => journal.Closed(plan.Terms.Durable) ?? plan.Admission.Enter(plan.Terms.Limits, caller.KeyId);

    private static PredictionWork Begin(ServingPlan plan)
    {
        var work = plan.Works.Get();
        work.Stages.Begin();
        return work;
    }

    public static void End(PredictionWork work)
    {
        work.Plan.Admission.Leave();
        work.Plan.Works.Return(work);
    }

    private async ValueTask<Refusal?> ReadAsync(HttpContext context, PredictionWork work, Dialect dialect)
    {
        var body = await RequestBody.ReadAsync(context, options.MaxBodyBytes);
        if (body.Refusal is { } unreadable) return unreadable;
        using (body.Value) return Read(context.Request.Headers, body.Value.Bytes, work, dialect);
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

    /// <summary>As <see cref="AnswerInTimeAsync"/>, and where the caller set a deadline, not beyond it: what waits leaves the line, what runs is stopped.</summary>
    private ValueTask<Refusal?> PredictAsync(PredictionWork work, Caller caller, Dialect dialect, CancellationToken ct) =>
        work.Timeout is { } patience ? WithDeadlineAsync(work, patience, caller, dialect, ct) : AnswerInTimeAsync(work, caller, dialect, ct);

    private async ValueTask<Refusal?> WithDeadlineAsync(PredictionWork work, TimeSpan patience, Caller caller, Dialect dialect, CancellationToken ct)
    {
        var left = patience - work.Stages.SoFar;
        using var due = new CancellationTokenSource(left > TimeSpan.Zero ? left : TimeSpan.Zero, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(ct, due.Token);
        try
        {
            return await AnswerInTimeAsync(work, caller, dialect, either.Token);
        }
        catch (OperationCanceledException) when (due.IsCancellationRequested && !ct.IsCancellationRequested)
        {
            return new Refusal(RefusalKind.Unavailable, DeadlineExceeded,
                $"There was no answer within the {patience.TotalMilliseconds:0.###} ms the request allowed; it was not made and is not billed.", null, "Allow more time, or send fewer at once.")
            { RetryAfter = TimeSpan.FromSeconds(1) };
        }
    }

    /// <summary>From filled tensors to a committed answer. The quota is taken before the model runs, and given back for what is refused after that:
    /// here until the journal has the entry, then by its writer.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<Refusal?> AnswerInTimeAsync(PredictionWork work, Caller caller, Dialect dialect, CancellationToken ct)
    {
        var handedOver = false;
        Taken taken = default;
        try
        {
            work.Stages.Parsed();
            if (await dialect.EnrichAsync(work, ct) is { } incomplete) return incomplete;
            work.Stages.Enriched();
            var plan = work.Plan;
            var quota = await plan.Admission.TakeAsync(plan.Terms.Limits, work.Units, ct);
            if (quota.Refusal is { } usedUp) return usedUp;
            taken = quota.Value;
            if ((await run.RunAsync(work, ct) ?? plan.Rules?.Apply(work) ?? dialect.Judge(work) ?? WriteRules(work)) is { } refusal) return refusal;
            var id = Guid.CreateVersion7(time.GetUtcNow());
            var entry = work.Entry!;
            Complete(entry, work, id, caller, dialect);
            entry.Quota = taken;
            if (!journal.TryWrite(entry)) return journal.Closed(plan.Terms.Durable) ?? JournalRefusals.Full;
            work.Entry = null;
            handedOver = true;
            // A buffered entry is the writer's now, and may be another request's already.
            if (plan.Terms.Durable)
            {
                var outcome = await entry.Outcome;
                journal.Return(entry);
                if (JournalRefusals.Of(outcome, id) is { } unrecorded) return unrecorded;
            }
            work.Stages.Recorded();
            dialect.Answer(work, id);
            plan.Figures.Answered(work.Units, work.Stages.Total);
            plan.Totals.Add(work.Units, work.Stages, time.GetUtcNow());
            metrics.Answered(dialect.Name, work.Units, work.Stages);
            return null;
        }
        finally
        {
            if (!handedOver)
            {
                taken.GiveBack();
                GiveUpEntry(work);
            }
        }
    }

    /// <summary>Writes the journal's field <c>rules</c>, the same for every dialect.</summary>
    private static Refusal? WriteRules(PredictionWork work)
    {
        if (work.Ruled is { IsApplied: true } ruled) return ruled.WriteTo(work.Entry!, work.Json);
        work.Entry!.Null();
        return null;
    }

    private static void Complete(JournalEntry entry, PredictionWork work, Guid id, Caller caller, Dialect dialect)
    {
        var (terms, version, stages) = (work.Plan.Terms, work.Plan.Version, work.Stages);
        entry.TenantField(terms.Tenant);
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

    /// <summary>Counts the refusal and sends it.</summary>
    public Task RefuseAsync(HttpContext context, ServingPlan plan, Dialect dialect, Refusal refusal)
    {
        Refused(plan, dialect, refusal);
        return dialect.RefuseAsync(context, refusal);
    }

    private void Refused(ServingPlan plan, Dialect dialect, Refusal refusal)
    {
        plan.Figures.Refused(refusal);
        plan.Totals.AddRefusal();
        metrics.Refused(dialect.Name, refusal.Code);
    }

    private void GiveUpEntry(PredictionWork work)
    {
        if (work.Entry is not { } entry) return;
        work.Entry = null;
        journal.Return(entry);
    }
}
