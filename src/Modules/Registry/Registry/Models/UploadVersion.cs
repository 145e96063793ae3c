using System.Net.Mime;
using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Intake;

namespace Platform.Registry.Models;

/// <summary>Adds a version from an ONNX file or an ML.NET archive: streamed to the blob store, its hash checked, taken in (<see cref="ModelIntake"/>) and only then visible.</summary>
internal static class UploadVersion
{
    /// <param name="PredictionOutput">The output that is the prediction, for a model with several.</param>
    [Needs(Permissions.Write)]
    internal sealed record Command(string Model, Upload File, string? PredictionOutput, string? Description) : IRequest<Result<VersionView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.File.ExpectedSha256).Matches("^[0-9a-fA-F]{64}$").OverridePropertyName(Upload.HashHeader)
                .WithMessage($"{Upload.HashHeader} must be the SHA-256 of the file in hex, 64 digits.");
            RuleFor(c => c.File.Signature).MaximumLength(1000).OverridePropertyName(Upload.SignatureHeader);
            RuleFor(c => c.Description).MaximumLength(2000);
        }
    }

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("models/{model}/versions", PostAsync).WithName(nameof(UploadVersion)).Needs(Permissions.Write).WithSummary("Upload an ONNX file or an ML.NET archive as a new version")
            .WithDescription($"The body is the file itself, or a multipart form with one file and, if you like, an input example as JSON in the field `{Upload.ExampleField}`. The hash in `{Upload.HashHeader}` (hex), "
                + $"`Repr-Digest` or `Content-Digest` is checked when it is sent, and the signature in `{Upload.SignatureHeader}` against the tenant's signing keys. The model is run on the example once; how long it takes and what it takes of memory is kept.")
            // Any other kind is let through to be refused with a mend; routing's own 415 has none.
            .Accepts<Stream>(MediaTypeNames.Application.Octet, MediaTypeNames.Multipart.FormData, "*/*")
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status413PayloadTooLarge).ProducesProblem(StatusCodes.Status415UnsupportedMediaType);

    private static async Task<Results<Created<VersionView>, ProblemHttpResult>> PostAsync(
        string model, string? predictionOutput, string? description, HttpRequest request, IMediator mediator, RegistryLimits limits, CancellationToken ct)
    {
        var file = await Upload.OpenAsync(request, limits.MaxModelBytes, ct);
        if (file.Refusal is { } unreadable) return unreadable.ToProblem();
        return await mediator.Send(new Command(model, file.Value, predictionOutput, description), ct)
            .ToCreated(version => $"/api/v1/registry/models/{model}/versions/{version.Version}");
    }

    internal static Result<VersionAdded> Decide(RegisteredModel model, Command command, TakenIn taken, string author)
    {
        var inspected = taken.Model;
        if (command.PredictionOutput is { } output && inspected.Signature.Outputs.All(o => o.Name != output))
        {
            return Refusal.Invalid("unknown-output", $"The model has no output '{output}'.", "predictionOutput",
                $"Choose one of: {string.Join(", ", inspected.Signature.Outputs.Select(o => o.Name).Take(20))}.");
        }

        return new VersionAdded(
            model.LatestVersion + 1, VersionSource.Upload, author, command.Description, taken.Artifact.Sha256, taken.Artifact.Length, inspected.Signature, inspected.Columns,
            command.PredictionOutput ?? inspected.PredictionOutput, Calibration: null, inspected.Facts, Metrics: null, Training: null, inspected.Kind, Intake: taken.Report);
    }

    internal sealed class Handler(IDocumentSession session, IBlobStore blobs, ModelIntake intake, RegistryLimits limits, CallerScope scope)
        : IRequestHandler<Command, Result<VersionView>>
    {
        public async Task<Result<VersionView>> Handle(Command command, CancellationToken ct)
        {
            // Asked before a byte is read: a gigabyte for a model that is not there would be for nothing.
            if (await session.FindModelAsync(command.Model, ct) is null) return Refusal.NotFound("model", command.Model);
            // And what its beginning tells is told before a byte is written down.
            if (FileScan.OfHead(command.File.Head, command.File.Name) is { } hostile) return Refusal.Invalid(hostile.Code, hostile.Detail, "file", hostile.Mend);

            var tenant = scope.Current.Tenant;
            var stored = await StoreAsync(tenant, command.File, ct);
            if (stored.Refusal is { } notStored) return notStored;
            var artifact = stored.Value;

            var taken = await command.File.FinishAsync(ct) is { } unreadable ? unreadable
                : await intake.TakeAsync(tenant, new(command.Model, artifact, command.File.Name, command.File.Example, Signature: command.File.Signature), ct);
            if (taken.Refusal is { } unsound)
            {
                await blobs.DiscardAsync(tenant, artifact, ct);
                return unsound;
            }

            // The stream is locked while the next number is taken, so that two uploads at once become two versions and neither is lost.
            var stream = await session.Events.FetchForExclusiveWriting<RegisteredModel>(RegisteredModel.Key(command.Model), ct);
            if (stream.Aggregate is not { Deleted: false } model) return Refusal.NotFound("model", command.Model);
            var decided = Decide(model, command, taken.Value, scope.Current.Subject);
            if (decided.Refusal is { } refusal) return refusal;
            stream.AppendOne(decided.Value);
            await session.SaveChangesAsync(ct);

            var version = await session.LoadAsync<ModelVersion>(ModelVersion.Key(command.Model, decided.Value.Version), ct);
            return VersionView.Of(version!, model);
        }

        private async Task<Result<BlobRef>> StoreAsync(string tenant, Upload file, CancellationToken ct)
        {
            try
            {
                await using var content = file.ExpectedSha256 is { } expected ? new HashCheckedStream(file.Content, expected) : file.Content;
                var stored = await blobs.PutAsync(tenant, content, limits.MaxModelBytes, ct);
                return stored.Refusal is { } refusal ? refusal with { Field = "file" } : stored.Value;
            }
            catch (HashMismatchException mismatch)
            {
                return Refusal.Invalid("hash-mismatch", $"The content's SHA-256 is {mismatch.Actual}, not the one that the request gives.", Upload.HashHeader,
                    "Send the file again: it was changed on the way, or the hash is another file's.");
            }
        }
    }
}
