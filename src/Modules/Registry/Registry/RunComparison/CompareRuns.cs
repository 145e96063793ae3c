using FluentValidation;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Runs;
using Platform.Registry.Tracking;

namespace Platform.Registry.RunComparison;

/// <summary>Whether two runs differ on the rows both were evaluated on: the paired bootstrap of <see cref="PairedBootstrap"/> over per-row predictions that the runs logged
/// (<see cref="EvaluationRows"/>). The first run is compared with each of the others.</summary>
internal static class CompareRuns
{
    private const int MostRuns = 10;

    /// <param name="Runs">Two or more, separated by commas.</param>
    /// <param name="Loss"><c>squared</c>, <c>absolute</c>, <c>log</c> or <c>zero-one</c>; squared where the first run's truths and predictions are numbers and zero-one where they are not, when it is left out.</param>
    /// <param name="Artifact">The file with the predictions, .json as MLflow's <c>eval_results_table.json</c> or .csv; that or <c>evaluation.csv</c> when it is left out.</param>
    /// <param name="Truth">The column with the truth; the first of target, truth, label when it is left out.</param>
    /// <param name="Prediction">The column with the prediction; the first of prediction, outputs when it is left out.</param>
    /// <param name="Id">A column that tells the rows apart; without it rows are paired by their place, and only when their truths agree.</param>
    /// <param name="Resamples">10,000, or fewer where the rows are very many, when it is left out.</param>
    /// <param name="Seed">The same seed gives the same answer.</param>
    [Needs(Permissions.ReadRuns)]
    internal sealed record Query(
        string Runs, string? Loss = null, string? Artifact = null, string? Truth = null, string? Prediction = null, string? Id = null, int? Resamples = null, long Seed = 1) : IRequest<Result<Response>>;

    /// <param name="Loss">The one that was taken.</param>
    internal sealed record Response(string Loss, IReadOnlyList<Compared> Differences);

    /// <param name="MeanA">The mean error of the first run.</param>
    /// <param name="Difference">MeanA less MeanB: below nought where the first errs less.</param>
    /// <param name="Lower">Of the percentile interval at 95 %.</param>
    /// <param name="ProbabilityAIsLower">The share of resamples in which the first errs less.</param>
    /// <param name="PValue">Two-sided.</param>
    /// <param name="InWords">What this says, in a sentence.</param>
    internal sealed record Compared(
        string A, string B, string NameA, string NameB, double MeanA, double MeanB, double Difference, double Lower, double Upper, string Interval,
        double ProbabilityAIsLower, double PValue, int Rows, int Resamples, bool CanBeTold, string InWords);

    internal sealed class Rules : AbstractValidator<Query>
    {
        public Rules()
        {
            RuleFor(q => q.Runs).NotEmpty();
            RuleFor(q => Split(q.Runs).Length).InclusiveBetween(2, MostRuns).WithName("runs").OverridePropertyName("runs").WithMessage($"Name 2 to {MostRuns} different runs, separated by commas.");
            RuleFor(q => q.Loss).Must(l => string.IsNullOrEmpty(l) || Losses.ContainsKey(l)).WithMessage("'{PropertyValue}' is no loss: use squared, absolute, log or zero-one.");
            RuleFor(q => q.Resamples).InclusiveBetween(100, 100_000);
        }
    }

    private static readonly Dictionary<string, Loss> Losses = new(StringComparer.Ordinal)
    {
        ["squared"] = RunComparison.Loss.Squared,
        ["absolute"] = RunComparison.Loss.Absolute,
        ["log"] = RunComparison.Loss.Log,
        ["zero-one"] = RunComparison.Loss.ZeroOne,
    };

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("runs/compare", Get).WithName(nameof(CompareRuns)).Needs(Permissions.ReadRuns).WithSummary("Tell whether runs differ on the rows they were evaluated on")
            .WithDescription("A paired bootstrap over per-row predictions that the runs logged as eval_results_table.json or evaluation.csv.")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static Task<Results<Ok<Response>, ProblemHttpResult>> Get(
        string runs, IMediator mediator, CancellationToken ct, string? loss = null, string? artifact = null, string? truth = null, string? prediction = null, string? id = null, int? resamples = null, long seed = 1) =>
        mediator.Send(new Query(runs, loss, artifact, truth, prediction, id, resamples, seed), ct).ToOk();

    internal static string[] Split(string? runs) => [.. (runs ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Distinct()];

    internal sealed class Handler(RunStore runs, Artifacts artifacts, IBlobStore blobs, CallerScope scope) : IRequestHandler<Query, Result<Response>>
    {
        /// <summary>Each takes a core for a moment and the memory of two tables.</summary>
        private static readonly SemaphoreSlim AtOnce = new(2);

        public async Task<Result<Response>> Handle(Query query, CancellationToken ct)
        {
            await AtOnce.WaitAsync(ct);
            try
            {
                return await CompareAsync(query, ct);
            }
            finally
            {
                AtOnce.Release();
            }
        }

        private async Task<Result<Response>> CompareAsync(Query query, CancellationToken ct)
        {
            var asked = Split(query.Runs);
            var read = await ReadAsync(asked[0], query, ct);
            if (read.Refusal is { } unreadable) return unreadable;
            var (a, first) = read.Value;
            var loss = string.IsNullOrEmpty(query.Loss) ? first.UsualLoss() : Losses[query.Loss];
            var lossesA = first.Losses(loss);
            if (lossesA.Refusal is { } bad) return Of(a, bad);
            var rows = first.Truths.Count;
            var resamples = query.Resamples ?? (int)Math.Clamp(PairedBootstrap.MostDraws / 2 / rows, 500, PairedBootstrap.DefaultResamples);
            if ((long)resamples * rows > PairedBootstrap.MostDraws)
            {
                return Refusal.Invalid("too-many-resamples", $"{resamples:N0} resamples of {rows:N0} rows take too long.", "resamples", "Ask for fewer, or leave it out.");
            }

            List<Compared> differences = [];
            foreach (var other in asked.Skip(1))
            {
                var second = await ReadAsync(other, query, ct);
                if (second.Refusal is { } refusal) return refusal;
                var (b, theirs) = second.Value;
                var pairs = first.PairWith(theirs, a.Name, b.Name);
                if (pairs.Refusal is { } different) return different;
                var lossesB = theirs.Losses(loss);
                if (lossesB.Refusal is { } wrong) return Of(b, wrong);
                double[] paired = [.. lossesA.Value.Select((of, i) => of - lossesB.Value[pairs.Value[i]])];
                // Off the request's thread: it is arithmetic for up to some seconds.
                var answer = await Task.Run(() => PairedBootstrap.Of(paired, resamples, (ulong)query.Seed, ct), ct);
                differences.Add(Said(a, b, lossesA.Value.Average(), lossesB.Value.Average(), answer, loss));
            }

            return new Response(Losses.First(l => l.Value == loss).Key, differences);
        }

        private async Task<Result<(RunInfo, EvaluationRows)>> ReadAsync(string run, Query query, CancellationToken ct)
        {
            var tenant = scope.Current.Tenant;
            var place = await ListRunArtifacts.PlaceAsync(runs, tenant, run, query.Artifact, ct);
            if (place.Refusal is { } refusal) return refusal;
            var (info, at) = place.Value;
            StoredArtifact? file = null;
            foreach (var path in string.IsNullOrEmpty(query.Artifact) ? EvaluationRows.Files.Select(f => $"{at}/{f}") : [at]) file ??= await artifacts.FindAsync(tenant, path, ct);
            if (file is null)
            {
                return new Refusal(RefusalKind.NotFound, "no-evaluation", $"Run '{info.Name}' has logged no {(string.IsNullOrEmpty(query.Artifact) ? string.Join(" and no ", EvaluationRows.Files) : query.Artifact)}.", "runs",
                    "Log its predictions on the evaluation set, with a row each, as evaluation.csv with the columns target and prediction; mlflow.evaluate logs such a table itself.");
            }

            if (file.Bytes > EvaluationRows.MostBytes) return new Refusal(RefusalKind.TooLarge, "evaluation-too-large", $"The table of run '{info.Name}' has {Shown.Size(file.Bytes)}, over the limit of {Shown.Size(EvaluationRows.MostBytes)}.", "runs", "Log a smaller one, with the columns that are compared alone.");
            await using var content = await blobs.OpenAsync(tenant, file.Sha256, ct);
            var rows = await EvaluationRows.ReadAsync(content, file.Path.EndsWith(".json", StringComparison.OrdinalIgnoreCase), query.Truth, query.Prediction, query.Id, ct);
            return rows.Refusal is { } unfit ? Of(info, unfit) : (info, rows.Value);
        }

        private static Refusal Of(RunInfo run, Refusal refusal) => refusal with { Detail = $"The evaluation of run '{run.Name}': {refusal.Detail}" };

        private static Compared Said(RunInfo a, RunInfo b, double meanA, double meanB, BootstrapAnswer answer, Loss loss)
        {
            var told = answer.Lower > 0 || answer.Upper < 0;
            var error = loss switch { Loss.Squared => "mean squared error", Loss.Absolute => "mean absolute error", Loss.Log => "log loss", _ => "share of errors" };
            // Both bounds on the side of the answer, so that "lower by" is followed by what it is lower by.
            var (least, most) = answer.Mean < 0 ? (-answer.Upper, -answer.Lower) : (answer.Lower, answer.Upper);
            var words = answer is { Mean: 0, Lower: 0, Upper: 0 } ? $"There is no difference: both have the same {error} on the {answer.Rows:N0} rows, whichever are drawn."
                : told ? $"The {error} of '{a.Name}' is {(answer.Mean < 0 ? "lower" : "higher")} than that of '{b.Name}' by {Shown.Number(Math.Abs(answer.Mean))} (95 %: {Shown.Number(least)} to {Shown.Number(most)}), on {answer.Rows:N0} rows."
                : $"No difference can be told: the {error} of '{a.Name}' less that of '{b.Name}' is {Shown.Number(answer.Mean)}, and the interval at 95 % ({Shown.Number(answer.Lower)} to {Shown.Number(answer.Upper)}) includes nought, on {answer.Rows:N0} rows.";
            return new(a.Id.ToString("N"), b.Id.ToString("N"), a.Name, b.Name, meanA, meanB, answer.Mean, answer.Lower, answer.Upper, "percentile, 95 %", answer.ProbabilityLower, answer.PValue, answer.Rows, answer.Resamples, told, words);
        }
    }
}
