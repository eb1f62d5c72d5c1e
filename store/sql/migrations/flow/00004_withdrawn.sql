-- Grants whose tokens died because the person took her answer back.
-- +goose Up
ALTER TABLE revoked_grants ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;
