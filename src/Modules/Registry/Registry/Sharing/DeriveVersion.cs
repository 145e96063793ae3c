using System.Text;
using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Platform.Features.Contracts;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Contracts;
using Platform.Registry.Intake;
using Platform.Registry.Models;
using Platform.Registry.Training;

namespace Platform.Registry.Sharing;

/// <summary>Adds a version that is derived from one another tenant shares, fitted to rows of the tenant's own where it is asked to be. The base's file is copied into
/// the tenant's own store, under its own key: the version goes on working whatever becomes of the base.</summary>
internal static class DeriveVersion
{
    /// <param name="Rules">What is to hold on every prediction it makes, in order, after the base's own rules where it has some: at most 50 with them. Each has one action
    /// (floor, cap, multiply, add, round, flag or refuse) and any number of conditions, on columns of the model or on the prediction, which must all hold.</param>
    internal sealed record Body(Source From, Calibration? Calibration = null, FineTuning? FineTuning = null, string? Description = null, IReadOnlyList<VersionRule>? Rules = null)
    {
        /// <summary>What is to be fitted, and how; null where nothing is.</summary>
        internal Fit? ToFit() => Calibration is { } c ? new("calibration", (CustomisationMethod)c.Method, c.Dataset, c.Target)
            : FineTuning is { } f ? new("fineTuning", CustomisationMethod.FineTuning, f.Dataset, f.Target) : null;
    }

    internal sealed record Source(string Tenant, string Model, int Version);

    /// <param name="Dataset">Rows of the tenant's own, with the model's columns and what came true.</param>
    /// <param name="Target">The column that holds what came true.</param>
    internal sealed record Calibration(string Dataset, string Target, CalibrationMethod Method = CalibrationMethod.Interval);

    /// <param name="Dataset">Rows of the tenant's own, with the model's columns and what came true.</param>
    /// <param name="Target">The column that holds what came true.</param>
    internal sealed record FineTuning(string Dataset, string Target);

    internal sealed record Fit(string Field, CustomisationMethod Method, string Dataset, string Target);

    [Needs(Permissions.Write)]
    internal sealed record Command(string Model, Body Derived) : IRequest<Result<VersionView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Derived.From).NotNull().OverridePropertyName("from");
            RuleFor(c => c.Derived.From.Tenant).NotEmpty().OverridePropertyName("from.tenant").When(c => c.Derived.From is not null);
            RuleFor(c => c.Derived.From.Model).NotEmpty().OverridePropertyName("from.model").When(c => c.Derived.From is not null);
            RuleFor(c => c.Derived.Calibration!.Dataset).NotEmpty().OverridePropertyName("calibration.dataset").When(c => c.Derived.Calibration is not null);
            RuleFor(c => c.Derived.Calibration!.Target).NotEmpty().OverridePropertyName("calibration.target").When(c => c.Derived.Calibration is not null);
            RuleFor(c => c.Derived.Calibration!.Method).IsInEnum().OverridePropertyName("calibration.method").When(c => c.Derived.Calibration is not null);
            RuleFor(c => c.Derived.FineTuning!.Dataset).NotEmpty().OverridePropertyName("fineTuning.dataset").When(c => c.Derived.FineTuning is not null);
            RuleFor(c => c.Derived.FineTuning!.Target).NotEmpty().OverridePropertyName("fineTuning.target").When(c => c.Derived.FineTuning is not null);
            RuleFor(c => c.Derived.FineTuning).Null().WithMessage("Give calibration or fineTuning, and not both: fine-tuning makes an interval table of its own.")
                .OverridePropertyName("fineTuning").When(c => c.Derived.Calibration is not null);
            RuleFor(c => c.Derived.Description).MaximumLength(2000).OverridePropertyName("description");
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("models/{model}/derived-versions", Post).WithName(nameof(DeriveVersion)).Needs(Permissions.Write).WithSummary("Derive a version from one that another tenant shares")
            .WithDescription("`calibration` fits it to a dataset of your own: `interval` gives it an interval table, `affine` also multiplies and shifts its answers, `isotonic` puts them through the rising function that fits best, both inside the graph. `fineTuning` trains what the model misses from its own columns and adds that to its answers, inside the graph too, with an interval table; a correction that does not help is refused (409). The dataset is recorded with the version; the base's owner sees how many versions were derived and nothing else. "
                + "`rules` hold on every prediction of the version, on every protocol, whoever deploys it.")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict).ProducesProblem(StatusCodes.Status503ServiceUnavailable);

    private static Task<Results<Created<VersionView>, ProblemHttpResult>> Post(string model, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(model, body), ct).ToCreated(version => $"/api/v1/registry/models/{model}/versions/{version.Version}");

    internal static VersionAdded Decide(RegisteredModel model, Body body, Publication from, TakenIn taken, CustomiseWork.Fitted? fitted, OpenedDataset? dataset, string author) => new(
        model.LatestVersion + 1, VersionSource.Derived, author, body.Description, taken.Artifact.Sha256, taken.Artifact.Length, from.Facts.Signature, from.Facts.Columns, from.Facts.PredictionOutput,
        fitted?.Calibration ?? from.Facts.Calibration, taken.Model.Facts, Metrics: null, Training: null, from.Facts.Kind, Intake: taken.Report,
        Base: new BaseVersion(from.Tenant, from.Model, from.Version, from.Facts.ArtifactSha256),
        Customisation: fitted is null || body.ToFit() is not { } asked ? null : new Customisation(
            asked.Method, dataset!.Dataset, dataset.ContentSha256, asked.Target, fitted.FittedRows, fitted.Slope, fitted.Intercept, fitted.Before, fitted.After, fitted.Knots, fitted.Tuning),
        Rules: VersionRules.Joined(from.Facts.Rules, body.Rules));

    internal sealed class Handler(
        IDocumentSession session, Publications publications, IMediator mediator, IBlobStore blobs, IChildProcesses children, ModelIntake intake, RegistryLimits limits, CallerScope scope,
        [FromKeyedServices(CustomiseWork.WorkName)] IntakeTurns turns)
        : IRequestHandler<Command, Result<VersionView>>
    {
        private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

        public async Task<Result<VersionView>> Handle(Command command, CancellationToken ct)
        {
            var (body, tenant) = (command.Derived, scope.Current.Tenant);
            if (await session.FindModelAsync(command.Model, ct) is null) return Refusal.NotFound("model", command.Model);
            if (await publications.FindAsync(tenant, body.From.Tenant, body.From.Model, body.From.Version, ct) is not { } from) return NotShared(body.From);
            if (VersionRules.Judge(body.Rules, from.Facts.Rules, from.Facts.Signature, from.Facts.Columns, from.Facts.PredictionOutput) is { } unruly) return unruly;
            OpenedDataset? dataset = null;
            var asked = body.ToFit();
            if (asked is not null)
            {
                var opened = await mediator.Send(new OpenDataset(asked.Dataset), ct);
                if (opened.Refusal is { } noDataset) return noDataset with { Field = asked.Field + ".dataset" };
                dataset = opened.Value;
                if (CustomiseWork.Judge(from.Facts, dataset, asked.Field, asked.Target) is { } unfit) return unfit;
            }

            var copied = await CopyAsync(tenant, from, ct);
            if (copied.Refusal is { } notCopied) return notCopied;
            var artifact = copied.Value;
            CustomiseWork.Fitted? fitted = null;
            if (dataset is not null)
            {
                var made = await CustomiseAsync(tenant, artifact, from, asked!, dataset, ct);
                if (made.Refusal is { } refused) return refused;
                (fitted, artifact) = made.Value;
            }

            // What was changed is a new file, and goes the way of every file.
            var taken = await intake.TakeAsync(tenant, new(command.Model, artifact, IsMadeHere: true), ct);
            if (taken.Refusal is { } unsound) return unsound;
            var stream = await session.Events.FetchForExclusiveWriting<RegisteredModel>(RegisteredModel.Key(command.Model), ct);
            if (stream.Aggregate is not { Deleted: false } model) return Refusal.NotFound("model", command.Model);
            var added = Decide(model, body, from, taken.Value, fitted, dataset, scope.Current.Subject);
            stream.AppendOne(added);
            Publications.Mark(session, from);
            try
            {
                await session.SaveChangesAsync(ct);
            }
            catch (Exception failure) when (Publications.IsWithdrawn(failure))
            {
                return NotShared(body.From);
            }

            var version = await session.LoadAsync<ModelVersion>(ModelVersion.Key(command.Model, added.Version), ct);
            return VersionView.Of(version!, model);
        }

        /// <summary>Read with the owner's key and written with the tenant's. Only what the database has just shown as shared with the tenant gets here.</summary>
        private async Task<Result<BlobRef>> CopyAsync(string tenant, Publication from, CancellationToken ct)
        {
            try
            {
                await using var content = await blobs.OpenAsync(from.Tenant, from.Facts.ArtifactSha256, ct);
                return await blobs.PutAsync(tenant, content, limits.MaxModelBytes, ct);
            }
            catch (FileNotFoundException)
            {
                return NotShared(new(from.Tenant, from.Model, from.Version));
            }
        }

        private async Task<Result<(CustomiseWork.Fitted, BlobRef)>> CustomiseAsync(string tenant, BlobRef artifact, Publication from, Fit asked, OpenedDataset dataset, CancellationToken ct)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
            limit.CancelAfter(Patience);
            try
            {
                using var turn = await turns.TakeAsync(tenant, limit.Token);
                var result = await children.RunAsync(CustomiseWork.WorkName, WriteAsync, new Progress<ChildProgress>(), limit.Token);
                if (result.Refusal is { } refusal) return refusal;
                using var stream = new MemoryStream(result.Value, writable: false);
                var fitted = await ChildFrames.ReadHeaderAsync<CustomiseWork.Fitted>(stream, ct);
                if (fitted is { Tuning: { } tuning, Log: { } lines })
                {
                    using var text = new MemoryStream(Encoding.UTF8.GetBytes(string.Join('\n', lines) + "\n"), writable: false);
                    var log = await blobs.PutAsync(tenant, text, long.MaxValue, ct);
                    if (log.Refusal is { } noLog) return noLog;
                    fitted = fitted with { Tuning = tuning with { LogSha256 = log.Value.Sha256 } };
                }

                if (stream.Position == stream.Length) return (fitted, artifact);
                var stored = await blobs.PutAsync(tenant, stream, long.MaxValue, ct);
                return stored.Refusal is { } notStored ? notStored : (fitted, stored.Value);
            }
            catch (OperationCanceledException) when (!ct.IsCancellationRequested)
            {
                return new Refusal(RefusalKind.Unavailable, "calibration-timed-out", $"The model was not fitted to the dataset's rows within {Patience.TotalMinutes:N0} minutes.", asked.Field + ".dataset", "Use fewer rows.");
            }

            async Task WriteAsync(Stream input, CancellationToken token)
            {
                await ChildFrames.WriteHeaderAsync(input, new CustomiseWork.Header(
                    asked.Method, asked.Field, artifact.Length, from.Facts.Signature, from.Facts.Columns, from.Facts.PredictionOutput!, [.. dataset.Columns.Select(c => new TrainingColumn(c.Name, c.Type))], asked.Target), token);
                await using (var file = await blobs.OpenAsync(tenant, artifact.Sha256, token)) await file.CopyToAsync(input, token);
                await using var csv = await dataset.OpenCsv(token);
                await csv.CopyToAsync(input, token);
            }
        }

        /// <summary>The same for what does not exist, what is not shared with the tenant, and what no longer is.</summary>
        private static Refusal NotShared(Source from) => new(
            RefusalKind.NotFound, "no-such-shared-model", $"The tenant '{from.Tenant}' shares no version {from.Version} of '{from.Model}' with you.", "from", "List the shared models you can derive from.");
    }
}
