using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Platform.Inference.Predict.Runtimes;
using Platform.Kernel;

namespace Platform.Inference.Predict;

/// <summary>The stage of the prediction path in which the model runs: from filled inputs to filled outputs.</summary>
internal sealed partial class RunStep(RunGate gate, ResponseCache cache, PredictMetrics metrics, ILogger<RunStep> log)
{
    /// <summary>Fills the wanted outputs: from what is remembered, where the endpoint asks for that, or by running the model.</summary>
    public ValueTask<Refusal?> RunAsync(PredictionWork work, CancellationToken ct) => work.Plan.Terms.CacheSeconds > 0 ? RememberAsync(work, ct) : RunModelAsync(work, ct);

    private async ValueTask<Refusal?> RememberAsync(PredictionWork work, CancellationToken ct)
    {
        var key = ResponseCache.KeyOf(work);
        if (cache.TryFill(key, work))
        {
            work.Stages.Remembered();
            metrics.Remembered(work.Units);
            return null;
        }
        if (await RunModelAsync(work, ct) is { } refusal) return refusal;
        cache.Remember(key, work);
        return null;
    }

    /// <summary>On a free core at once. When all are busy: in line, and together with others to the same model where that is safe and pays.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<Refusal?> RunModelAsync(PredictionWork work, CancellationToken ct)
    {
        var plan = work.Plan;
        ct.ThrowIfCancellationRequested();
        var model = await plan.Model.UseAsync(ct);
        if (model.Refusal is { } unloadable) return unloadable;
        var session = model.Value;
        try
        {
            if (session.Model is IRemoteModel remote) return await CallAsync(work, remote, ct);
            if (gate.TryEnter(plan.Terms.Tenant, ct) is { } free && await TryRunAsync(work, session, free)) return null;
            var most = session.Trial.RowsIn(plan.Terms.Mode);
            if (most > 1 && Batch.Rows(work.Tensors.Inputs) is > 0 and var rows && rows < most)
            {
                var joined = await plan.Model.Batcher.JoinAsync(work, session, rows, most, ct);
                if (joined.Refusal is { } unjoined) return unjoined;
                // The others wanted the batch to go on; an answer that nobody waits for is not made and not billed all the same.
                ct.ThrowIfCancellationRequested();
                if (joined.Value is BatchOutcome.Answered) return null;
            }
            while (true)
            {
                var entered = await WaitAsync(plan, ct);
                if (entered.Refusal is { } crowded) return crowded;
                if (await TryRunAsync(work, session, entered.Value)) return null;
            }
        }
        catch (ModelRunException failure)
        {
            return OfRun(failure, plan, ct);
        }
        finally
        {
            session.Release();
        }
    }

    private async ValueTask<Refusal?> CallAsync(PredictionWork work, IRemoteModel remote, CancellationToken ct)
    {
        var model = work.Plan.Model;
        if (!model.TryWait(gate.Limits.PerModel)) return gate.Limits.ModelQueueFull();
        try
        {
            work.Stages.Seated();
            await remote.CallAsync(work.Tensors, work.Wanted, ct);
            work.Ran();
            return null;
        }
        finally
        {
            model.Waited();
        }
    }

    private async ValueTask<Result<RunSeat>> WaitAsync(ServingPlan plan, CancellationToken ct)
    {
        if (!plan.Model.TryWait(gate.Limits.PerModel)) return gate.Limits.ModelQueueFull();
        try
        {
            return await gate.EnterAsync(plan.Terms.Tenant, ct);
        }
        finally
        {
            plan.Model.Waited();
        }
    }

    /// <summary>False when it was stopped to make way, and is to wait for its turn again.</summary>
    private ValueTask<bool> TryRunAsync(PredictionWork work, Session session, RunSeat seat) =>
        session.TakesLong(work.Units) ? TryRunElsewhereAsync(work, session, seat) : new(TryRun(work, session, seat));

    private async ValueTask<bool> TryRunElsewhereAsync(PredictionWork work, Session session, RunSeat seat)
    {
        await gate.Threads.ToOne();
        var ran = TryRun(work, session, seat);
        await Task.Yield();
        return ran;
    }

    private bool TryRun(PredictionWork work, Session session, RunSeat seat)
    {
        work.Stages.Seated();
        try
        {
            session.Model.Run(work.Tensors, work.Wanted, seat);
        }
        catch (ModelRunException failure) when (failure.Failure is RunFailure.GaveWay)
        {
            return false;
        }
        finally
        {
            gate.Exit(seat);
            // Also of one that was stopped: the next is expected to take as long.
            session.Took(work.Stages.SinceSeated, work.Units);
        }
        work.Ran();
        return true;
    }

    /// <summary>The model's own words go to the log of its tenant's operator; to the caller we say what we know.</summary>
    private Refusal OfRun(ModelRunException failure, ServingPlan plan, CancellationToken ct)
    {
        if (failure.Failure is RunFailure.Abandoned) throw new OperationCanceledException(ct);
        if (failure.Refusal is { } crowded) return crowded;
        LogRunFailed(log, plan.Terms.Tenant, plan.Terms.Endpoint, plan.Version.Model, plan.Version.Version, failure.Member is { } named ? $"{named}: {failure.Message}" : failure.Message);
        var model = $"model '{plan.Version.Model}' (version {plan.Version.Version}){(failure.Member is { } member ? $", in its member {member}," : "")}";
        return failure.Failure switch
        {
            RunFailure.Unreachable => new Refusal(RefusalKind.Unavailable, "remote-unavailable", $"The server on which the {model} runs gave no answer.", null,
                "Try again in a few seconds; the model's owner can see the reason in the log.")
            { RetryAfter = TimeSpan.FromSeconds(5) },
            RunFailure.TimedOut => new Refusal(RefusalKind.Unavailable, "run-timeout", $"The {model} ran longer than it may and was stopped.", null,
                "Send fewer rows a call, or have the model's owner make it faster."),
            RunFailure.OutOfMemory => Refusal.Invalid("run-out-of-memory", $"The {model} needed more memory on these inputs than a run may have, or gave more than an answer may hold.", null,
                "Send fewer or smaller rows a call."),
            _ => Refusal.Invalid("model-failed", $"The {model} failed on these inputs.", null,
                "Compare the shapes and values with what the model was made for; its owner can see the reason in the log."),
        };
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Tenant {Tenant}, endpoint {Endpoint}: {Model} version {Version} gave no answer: {Reason}")]
    private static partial void LogRunFailed(ILogger log, string tenant, string endpoint, string model, int version, string reason);
}
