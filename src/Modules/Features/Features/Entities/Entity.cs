using JasperFx.Events;

namespace Platform.Features.Entities;

internal sealed record EntityCreated(string? Description);

/// <summary>A kind of thing features describe, such as a house; feature views give each of them values under its key.</summary>
internal sealed record Entity(string Id, string? Description, DateTimeOffset CreatedAt)
{
    private const string Prefix = "entity:";

    public static string Key(string name) => Prefix + name;

    public string Name() => Id[Prefix.Length..];

    public static Entity Create(IEvent<EntityCreated> e) => new(e.StreamKey!, e.Data.Description, e.Timestamp);
}

/// <summary>An entity as the API and the pages show it.</summary>
internal sealed record EntityView(string Name, string? Description, DateTimeOffset CreatedAt)
{
    public static EntityView Of(Entity entity) => new(entity.Name(), entity.Description, entity.CreatedAt);
}
