using FluentValidation;
using Marten;
using MediatR;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Platform.Kernel;
using Platform.Kernel.Http;
using Platform.Registry.Contracts;
using Platform.Registry.Onnx;

namespace Platform.Registry.Models;

/// <summary>Adds a version that is made of other versions of the tenant: run one after another, or the mean of several. Members are pinned to version
/// numbers that exist, which never change, so a cycle cannot be made.</summary>
internal static class AddCompositeVersion
{
    private const int MostMembers = 16, Deepest = 3, MostRuns = 64;

    /// <param name="Members">In the order in which a sequence runs them.</param>
    /// <param name="Outputs">Which outputs to give: of a sequence's last member, or of those that are averaged; all when left out.</param>
    /// <param name="PredictionOutput">The output that is the prediction, for a model with several.</param>
    internal sealed record Body(
        CompositeKind Kind, IReadOnlyList<Member> Members, IReadOnlyList<string>? Outputs = null, string? PredictionOutput = null, string? Description = null);

    /// <param name="Weight">Of a mean; any positive number, as only the shares count. 1 when left out.</param>
    /// <param name="Inputs">Of a sequence: by the member's input, the output of the member before it that it takes. Inputs that are left out take the output of their own name.</param>
    internal sealed record Member(string Model, int Version, double? Weight = null, IReadOnlyDictionary<string, string>? Inputs = null);

    [Needs(Permissions.Write)]
    internal sealed record Command(string Model, Body Composite) : IRequest<Result<VersionView>>;

    internal sealed class Rules : AbstractValidator<Command>
    {
        public Rules()
        {
            RuleFor(c => c.Composite.Kind).IsInEnum().OverridePropertyName("kind");
            RuleFor(c => c.Composite.Members).Cascade(CascadeMode.Stop).NotNull().Must(members => members.Count is >= 2 and <= MostMembers && members.All(member => member?.Model is not null))
                .WithMessage($"A composite has 2 to {MostMembers} members.").OverridePropertyName("members");
            RuleFor(c => c.Composite.Description).MaximumLength(2000).OverridePropertyName("description");
        }
    }

    /// <summary>What the members come to together.</summary>
    internal sealed record Composition(CompositeDescriptor Descriptor, IReadOnlyList<ColumnSpec> Columns, string? PredictionOutput, CompositeFacts Facts);

    internal static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("models/{model}/composite-versions", Post).WithName(nameof(AddCompositeVersion)).Needs(Permissions.Write).WithSummary("Add a version that is made of other versions")
            .WithDescription("`sequence` runs its members one after another, the outputs of each being the inputs of the next; `weighted-mean` asks all and averages their answers.")
            .ProducesProblem(StatusCodes.Status404NotFound);

    private static Task<Results<Created<VersionView>, ProblemHttpResult>> Post(string model, Body body, IMediator mediator, CancellationToken ct) =>
        mediator.Send(new Command(model, body), ct).ToCreated(version => $"/api/v1/registry/models/{model}/versions/{version.Version}");

    internal static Result<Composition> Compose(string tenant, Body body, IReadOnlyList<ModelVersion?> found)
    {
        for (var i = 0; i < found.Count; i++)
        {
            if (found[i] is null)
            {
                return Refusal.Invalid("no-such-member", $"The model '{body.Members[i].Model}' has no version {body.Members[i].Version} here.", $"members[{i}]",
                    "Name a version that is there already; a version cannot contain itself.");
            }
        }
        if (found.Select((version, i) => (Version: version!, Index: i)).FirstOrDefault(member => member.Version.WhyNotServed is not null) is { Version: { } unserved } at)
        {
            return Refusal.Invalid("member-not-servable", $"Version {unserved.Facts.Version} of '{unserved.Model}' cannot be served: {unserved.WhyNotServed}", $"members[{at.Index}]", "Name a version that can be served.");
        }

        if (found.Select((version, i) => (Version: version!, Index: i)).FirstOrDefault(member => member.Version.Facts.Rules is { Count: > 0 }) is { Version: { } ruled } place)
        {
            return Refusal.Invalid("member-has-rules", $"Version {ruled.Facts.Version} of '{ruled.Model}' has rules of its own, which hold on its answers and could not hold inside of a composite.", $"members[{place.Index}]",
                "Name a version without rules, such as one derived from the same base.");
        }

        VersionAdded[] facts = [.. found.Select(version => version!.Facts)];
        var (depth, runs) = (1 + facts.Max(fact => fact.Composite?.Depth ?? 0), facts.Sum(fact => fact.Composite?.Runs ?? 1));
        if (depth > Deepest || runs > MostRuns)
        {
            return Refusal.Invalid("composite-too-large", $"Composites may lie {Deepest} deep in one another and take {MostRuns} runs an answer; this one would be {depth} deep and take {runs}.", "members",
                "Name the members' own members, or fewer.");
        }

        var sequence = body.Kind is CompositeKind.Sequence;
        if ((sequence ? DoesNotFollow(body, facts) : DoesNotAgree(body, facts)) is { } misfit) return misfit;
        var outputs = Chosen(body, sequence ? facts[^1].Signature.Outputs : facts[0].Signature.Outputs);
        if (outputs.Refusal is { } unknown) return unknown;
        if (!sequence && outputs.Value.FirstOrDefault(output => output.Datatype is not ("FP32" or "FP64")) is { } countless)
        {
            return Refusal.Invalid("no-mean", $"The output '{countless.Name}' is {countless.Datatype}, of which there is no mean.", "outputs", "Name in 'outputs' those that are FP32 or FP64.");
        }

        var signature = new ModelSignature(facts[0].Signature.Inputs, outputs.Value);
        var prediction = body.PredictionOutput ?? (outputs.Value.Any(o => o.Name == facts[^1].PredictionOutput) ? facts[^1].PredictionOutput : OnnxInspector.PredictionOutput(signature));
        if (prediction is not null && outputs.Value.All(o => o.Name != prediction)) return UnknownOutput(prediction, "predictionOutput", outputs.Value);

        var total = body.Members.Sum(Weight);
        CompositeMember[] members = [.. body.Members.Zip(facts, (member, fact) => new CompositeMember(
            member.Model, member.Version, fact.ArtifactSha256, fact.ArtifactBytes, fact.Kind, sequence ? 1 : Weight(member) / total,
            fact.Signature.Inputs.ToDictionary(input => input.Name, input => Source(member, input.Name))))];
        return new Composition(
            new CompositeDescriptor(tenant, body.Kind, signature, members), sequence ? facts[0].Columns : SharedColumns(facts), prediction,
            new CompositeFacts(body.Kind, depth, runs, [.. members.Select(m => new MemberFacts(m.Model, m.Version, sequence ? null : m.Weight, m.Inputs))]));
    }

    internal static VersionAdded Decide(RegisteredModel model, Body body, BlobRef descriptor, Composition made, string author) => new(
        model.LatestVersion + 1, VersionSource.Composite, author, body.Description, descriptor.Sha256, descriptor.Length, made.Descriptor.Signature, made.Columns, made.PredictionOutput,
        // Half-widths were measured on each member's own answers; what the whole is off by, nobody has measured.
        Calibration: null,
        new OnnxFacts(0, "", new Dictionary<string, long>(), 0, new Dictionary<string, int>()), Metrics: null, Training: null, ArtifactKind.Composite, made.Facts);

    private static string Source(Member member, string input) => member.Inputs?.GetValueOrDefault(input) ?? input;

    private static double Weight(Member member) => member.Weight ?? 1;

    /// <summary>Why one member cannot take what the one before it gives.</summary>
    private static Refusal? DoesNotFollow(Body body, VersionAdded[] facts)
    {
        for (var i = 0; i < facts.Length; i++)
        {
            var (member, inputs) = (body.Members[i], facts[i].Signature.Inputs);
            if (member.Weight is not null) return Refusal.Invalid("weight-in-sequence", "The members of a sequence have no weights.", $"members[{i}].weight", "Leave it out, or make it a 'weighted-mean'.");
            if (member.Inputs?.Keys.FirstOrDefault(name => inputs.All(input => input.Name != name)) is { } stray)
            {
                return Refusal.Invalid("unknown-input", $"'{member.Model}' version {member.Version} has no input '{stray}'.", $"members[{i}].inputs.{stray}", $"It takes: {Names(inputs)}.");
            }
            if (i == 0)
            {
                if (member.Inputs is { Count: > 0 }) return Refusal.Invalid("first-takes-the-question", "The first member takes what the caller sends, by the names it has.", "members[0].inputs", "Leave it out.");
                continue;
            }
            var given = facts[i - 1].Signature.Outputs;
            foreach (var input in inputs)
            {
                var (source, field) = (Source(member, input.Name), $"members[{i}].inputs.{input.Name}");
                if (given.FirstOrDefault(output => output.Name == source) is not { } output)
                {
                    return Refusal.Invalid("members-do-not-fit", $"The input '{input.Name}' of '{member.Model}' version {member.Version} takes '{source}', which the member before it does not give.", field,
                        $"Say in 'inputs' which it takes, one of: {Names(given)}.");
                }
                if (output.Datatype != input.Datatype || !Fits(output.Shape, input.Shape))
                {
                    return Refusal.Invalid("members-do-not-fit", $"The input '{Shown(input)}' of '{member.Model}' version {member.Version} cannot take the output '{Shown(output)}' of the member before it.", field,
                        "Datatypes must be the same and shapes equal but for free dimensions (-1): take another output, or put a member between that converts.");
                }
            }
        }
        return null;
    }

    /// <summary>Why members cannot answer one and the same question.</summary>
    private static Refusal? DoesNotAgree(Body body, VersionAdded[] facts)
    {
        for (var i = 0; i < facts.Length; i++)
        {
            var member = body.Members[i];
            if (member.Inputs is { Count: > 0 }) return Refusal.Invalid("inputs-in-mean", "The members of a mean all take what the caller sends.", $"members[{i}].inputs", "Leave it out, or make it a 'sequence'.");
            if (!(Weight(member) is > 0 and < double.PositiveInfinity)) return Refusal.Invalid("bad-weight", "A weight is a positive number.", $"members[{i}].weight", "Give one above 0, or leave the member out.");
            var difference = Difference("input", facts[0].Signature.Inputs, facts[i].Signature.Inputs) ?? Difference("output", facts[0].Signature.Outputs, facts[i].Signature.Outputs);
            if (difference is null && facts[0].Columns.FirstOrDefault(column => facts[i].Columns.FirstOrDefault(c => c.Name == column.Name) is { } other && other.Kind != column.Kind) is { } column)
            {
                difference = $"the column '{column.Name}' is not of one kind";
            }
            if (difference is not null)
            {
                return Refusal.Invalid("members-do-not-agree", $"'{member.Model}' version {member.Version} has not the signature of the first member: {difference}.", $"members[{i}]",
                    "The members of a mean take and give the same tensors, by name, datatype and shape.");
            }
        }
        return null;
    }

    private static string? Difference(string side, IReadOnlyList<TensorSpec> first, IReadOnlyList<TensorSpec> other)
    {
        foreach (var tensor in first)
        {
            if (other.FirstOrDefault(o => o.Name == tensor.Name) is not { } same) return $"it has no {side} '{tensor.Name}'";
            if (same.Datatype != tensor.Datatype || !same.Shape.SequenceEqual(tensor.Shape)) return $"its {side} is '{Shown(same)}' and not '{Shown(tensor)}'";
        }
        return other.FirstOrDefault(o => first.All(tensor => tensor.Name != o.Name)) is { } more ? $"it has another {side} '{more.Name}'" : null;
    }

    private static Result<TensorSpec[]> Chosen(Body body, IReadOnlyList<TensorSpec> all)
    {
        if (body.Outputs is not { Count: > 0 } names) return all.ToArray();
        return names.FirstOrDefault(name => all.All(output => output.Name != name)) is { } unknown ? UnknownOutput(unknown, "outputs", all) : all.Where(output => names.Contains(output.Name)).ToArray();
    }

    private static Refusal UnknownOutput(string output, string field, IReadOnlyList<TensorSpec> all) =>
        Refusal.Invalid("unknown-output", $"The model has no output '{output}'.", field, $"Choose one of: {Names(all)}.");

    /// <summary>Columns as all members read them: one that any of them cannot do without is required.</summary>
    private static IReadOnlyList<ColumnSpec> SharedColumns(VersionAdded[] facts) => facts.Any(fact => fact.Columns.Count == 0) ? [] :
        [.. facts[0].Columns.Select(column => column with { Required = facts.Any(fact => fact.Columns.Any(c => c.Name == column.Name && c.Required)) })];

    private static bool Fits(IReadOnlyList<long> given, IReadOnlyList<long> taken) => given.Count == taken.Count && given.Zip(taken).All(pair => pair.First == pair.Second || pair.First < 0 || pair.Second < 0);

    private static string Shown(TensorSpec tensor) => $"{tensor.Name} {tensor.Datatype} [{string.Join(", ", tensor.Shape)}]";

    private static string Names(IEnumerable<TensorSpec> tensors) => string.Join(", ", tensors.Select(tensor => tensor.Name).Take(20));

    internal sealed class Handler(IDocumentSession session, IBlobStore blobs, RegistryLimits limits, CallerScope scope) : IRequestHandler<Command, Result<VersionView>>
    {
        public async Task<Result<VersionView>> Handle(Command command, CancellationToken ct)
        {
            var (body, tenant) = (command.Composite, scope.Current.Tenant);
            if (await session.LoadAsync<RegisteredModel>(RegisteredModel.Key(command.Model), ct) is null) return Refusal.NotFound("model", command.Model);
            string[] keys = [.. body.Members.Select(member => ModelVersion.Key(member.Model, member.Version))];
            var found = (await session.LoadManyAsync<ModelVersion>(ct, keys.Distinct())).ToDictionary(version => version.Id);
            var made = Compose(tenant, body, [.. keys.Select(found.GetValueOrDefault)]);
            if (made.Refusal is { } unfit) return unfit;
            using var content = new MemoryStream(made.Value.Descriptor.ToBytes());
            var stored = await blobs.PutAsync(tenant, content, limits.MaxModelBytes, ct);
            if (stored.Refusal is { } notStored) return notStored;

            var stream = await session.Events.FetchForExclusiveWriting<RegisteredModel>(RegisteredModel.Key(command.Model), ct);
            var added = Decide(stream.Aggregate!, body, stored.Value, made.Value, scope.Current.Subject);
            stream.AppendOne(added);
            await session.SaveChangesAsync(ct);

            var version = await session.LoadAsync<ModelVersion>(ModelVersion.Key(command.Model, added.Version), ct);
            return VersionView.Of(version!, stream.Aggregate!);
        }
    }
}
